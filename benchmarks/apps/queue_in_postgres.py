"""Procrastinate: PostgreSQL is queue and ledger in one."""

import os

from procrastinate import App, PsycopgConnector

from benchmarks.apps import NOOP

app = App(connector=PsycopgConnector(conninfo=os.environ["DATABASE_URL"]))


@app.task(name=NOOP)
async def noop() -> None:
    """Do nothing."""
