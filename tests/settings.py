"""The platform's settings for tests: no installation of this machine is read or touched.

The developer's shell and `.env` may name a production database. The tests and what they start see
none of it, but for OPS_TEST_REQUIRE, and the PostgreSQL that `tests.with_postgres` has started.
"""

import atexit
import os
import shutil
import tempfile

from opsproject.env import ENV_FILE, setting_names

for _name in setting_names() - {"OPS_TEST_REQUIRE"}:
    os.environ.pop(_name, None)
if "TESTS_POSTGRES_URL" in os.environ:
    os.environ["DATABASE_URL"] = os.environ["TESTS_POSTGRES_URL"]
os.environ[ENV_FILE] = ""
os.environ["OPS_DATA_DIR"] = tempfile.mkdtemp(prefix="ops-tests-")
atexit.register(shutil.rmtree, os.environ["OPS_DATA_DIR"], ignore_errors=True)

from opsproject.settings import *  # noqa: E402, F403 the environment has to be bare first
