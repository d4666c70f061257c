"""The REST door of the scheduler: who may call, which jobs there are, and how errors read."""
