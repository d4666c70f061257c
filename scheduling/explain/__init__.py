"""Explains: what a job or a run that is not running waits for (SPEC B7).

Everything that can hold it back is a `gate`, in the order in which the engine asks. `job` has those
before there is a run, `run` those of a run, by `facts` that are read for many runs at once.
Nothing here changes anything. The API, `manage.py explain` and pages give the same answer.
"""
