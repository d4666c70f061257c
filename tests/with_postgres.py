"""Runs the suite on PostgreSQL: `python3 manage.py test -p tests.with_postgres`.

A plugin, because the database must be known before Django's settings are read.
"""

import atexit
import os

# Importing the platform names its own settings where none are named, and pytest would take those.
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"

from tests.servers import running_postgres

URL = "TESTS_POSTGRES_URL"

if URL not in os.environ:  # the workers of xdist inherit it
    _server = running_postgres()
    os.environ[URL] = _server.__enter__()
    atexit.register(_server.__exit__, None, None, None)
