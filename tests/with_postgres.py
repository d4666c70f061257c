"""Runs the suite on PostgreSQL: `python3 manage.py test -p tests.with_postgres`.

A plugin, because the database must be known before `tests.settings` is read. It never is the one
of DATABASE_URL, which may be somebody's own.
"""

import atexit
import os

from tests.servers import POSTGRES_URL, running_postgres

if POSTGRES_URL not in os.environ:  # the workers of xdist inherit it
    _server = running_postgres()
    os.environ[POSTGRES_URL] = _server.__enter__()
    atexit.register(_server.__exit__, None, None, None)
