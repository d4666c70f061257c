"""What operators can do, one action a file: admin, API, chat and commands all call these.

Each action is one transaction with its audit row; `actor` says who, `door` through which door.
"""
