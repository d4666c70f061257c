"""Publishing: a message for each claimed run, after the commit; and again for those that are gone.

`publish` decides, by what `serving` knows of the workers, what is sent and what is held back;
`hand_over` sends what only plain Celery workers serve. A `message` stands for one run or for a
`batch`; `delivery` sends many over one connection, with `confirms` on RabbitMQ. `republish` looks
for messages that neither the broker nor a worker has, `unserved` says of those that nobody serves.
"""
