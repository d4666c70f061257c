"""What `manage.py up` does, one step per file, in this order.

`data_directory` makes the place and holds it against a second `up`; `secret_key` and `credentials`
keep there what has to survive a restart; `ports` and `broker` find where to listen and what to
publish to; `database` says early when nothing answers; `first_start` migrates and hands out the
first account; `programs` names the processes, `supervision` keeps them alive, `output` prints what
they say; `readiness` waits for the page, and `smoke` for one good run of every standing job.
"""
