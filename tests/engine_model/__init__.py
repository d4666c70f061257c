"""What can happen to the engine, for the model that is played in `property/test_engine_model.py`.

`world` is the stage: the real database, a clock that the model turns, jobs. On it act, each with
its rules: `passing_time`, `beats` (any step of theirs may be left out, done twice, killed or held
up), `workers` (that freeze, die, come back, and get any message at any time) and `operators`.
`witness` stands in the database itself and sees every change of a run; `changes` says which of them
are allowed. `sudden_death` is how a process dies, `calm` what has to follow any storm.
"""
