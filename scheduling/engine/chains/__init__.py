"""Chains, the jobs in queue mode: the end of each planned run makes the next one (SPEC A8).

`chain` plans the next of a job's `links`, by the `chain_schedule` that is made of its row and its
delay; `modes` switches a job to it and back. A link that is due is started by `due_links` where it
waits in the database, and by `arrivals` where its message waited in the job's `delay_queue` on
RabbitMQ.
"""
