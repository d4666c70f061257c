"""Proves the account of the ledger: planned = verdicts + open, for any job and window (SPEC A3).

What was planned is computed from the schedule epochs alone; what happened is read from runs,
skipped ticks and daily totals. The two never meet before this comparison, so a tick that is
missing, doubled or invented shows.

`accounts` reads one job as of one `moment`; `stretches` are the parts of its epochs that were asked
for; where rows exist, `ticks` proves each tick against the `history`, and `chains` the links of a
job in queue mode against each other; what was pruned is proven day by day by `days`; `unplanned`
runs are counted beside it. The result is an `account`. Memory does not grow with the history: a few
thousand rows, one value per edit of the schedule and one per pruned day are held at a time.
"""

from scheduling.ledger.account import Account, Trouble
from scheduling.ledger.accounts import account_of, accounts

__all__ = ["Account", "Trouble", "account_of", "accounts"]
