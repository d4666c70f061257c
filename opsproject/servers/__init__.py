"""Servers of one's own, for chaos and for the tests: killed, and started again on their data.

`server` is what all have in common, `descendants` finds all that a process has started; `valkey`,
`rabbitmq` and `postgresql` are the programs. Each keeps to the loopback interface and to a
directory that it is given, and finds its program where an operator would have installed it.
"""
