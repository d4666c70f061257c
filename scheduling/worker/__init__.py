"""The worker's side of the ledger, installed in every worker that loads this app.

`lifecycle` hooks into Celery's start; `step` ties the parts to each life of the consumer:
`heartbeat` proves the process alive and first clears `leftovers`, `fenced` is the fence around a
message, as the `request` of one run or the `batch_request` of many, `recorder` writes starts and
finishes from a thread of its own, `mailbox` carries its answers back to the event loop, `window`
says how far ahead work is taken, `child` is what differs inside the pool process (with a
`soft_limit` for each run of a batch), `endings` reads what Celery reports of an attempt, `chains`
plans the next link once an end is committed. `introduction` is what it tells of itself. `runtime`
is where the parts find each other.

`stopper` ends what is to be stopped, by `stop` after `stop`, with what `processes` knows of process
groups, once what a task drives `outside` of them was told; a request is `stoppable` at any point of
its life, `attempts` lists those in hand. `redis_qos`, `reconnect` and `task_events` are what we do
otherwise than Celery and kombu.
"""
