"""The platform's settings for tests: nothing of an installation in this checkout is touched."""

import os
import tempfile

os.environ.setdefault("OPS_DATA_DIR", tempfile.mkdtemp(prefix="ops-tests-"))

from opsproject.settings import *  # noqa: F403 the directory has to be known first
