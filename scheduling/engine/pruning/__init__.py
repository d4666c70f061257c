"""Pruning: old runs and skipped ticks become daily totals, so that the account still closes.

`cleaner` spends a beat's spare time on it: `old_history` says which jobs have some, `prune` takes
it away in short transactions, `fold` says what is counted and what goes.
"""
