"""Jobs, the run ledger and the engine between a schedule and a worker.

The flow: a due tick is *planned* into a run, a run that waits for nothing is *resolved* to ready,
*claimed* for a slot, *published*, *executed* by a worker behind the fence, and *recovered* when
somebody died on the way. `engine/__init__` names the files in that order, `worker/__init__` those
of the worker; only `transitions` writes a run's state.
"""
