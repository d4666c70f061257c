"""The platform's settings for tests: no installation of this machine is read or touched.

The developer's shell and `.env` may name a production database. The tests and what they start see
none of it, but for OPS_TEST_REQUIRE, and the PostgreSQL that `tests.with_postgres` has started.
"""

import atexit
import os
import shutil
import sys
import tempfile

from opsproject.env import ENV_FILE, setting_names

_kept = {"OPS_TEST_REQUIRE"}
if "tests.with_postgres" in sys.modules:
    _kept.add("DATABASE_URL")
for _name in setting_names() - _kept:
    os.environ.pop(_name, None)
os.environ[ENV_FILE] = ""
os.environ["OPS_DATA_DIR"] = tempfile.mkdtemp(prefix="ops-tests-")
atexit.register(shutil.rmtree, os.environ["OPS_DATA_DIR"], ignore_errors=True)

from opsproject.settings import *  # noqa: E402, F403 the environment has to be bare first
