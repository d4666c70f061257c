"""The lines of the table: each module has a `NAME`, a `measure` and says what it measures.

What `measure` takes are the options of its sub-command, with their defaults.
"""
