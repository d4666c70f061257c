"""The worker's side of the ledger, installed in every worker that loads this app.

`lifecycle` hooks into Celery's start; `step` ties the parts to each life of the consumer:
`heartbeat` proves the process alive, `request` is the fence around a message, `recorder` writes
starts and finishes from a thread of its own, `mailbox` carries its answers back to the event loop,
`child` is what differs inside the pool process, `endings` reads what Celery reports of an attempt,
and `lost_redis` keeps the worker from dying with its broker.
"""
