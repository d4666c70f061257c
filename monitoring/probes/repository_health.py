"""Probe `repository_health`: the database answers and the dataset can be written."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from django.conf import settings
from django.db import DatabaseError, connection

from monitoring.probes.base import Probe, Unavailable
from monitoring.probes.names import CHECK_REPOSITORY_HEALTH


@dataclass(repr=False)
class RepositoryHealth(Probe):
    """Looks at both places where work is kept."""

    name: ClassVar[str] = CHECK_REPOSITORY_HEALTH

    def look(self) -> str:
        """Return how both stand; raise Unavailable naming the one that does not."""
        _ask_database()
        root = Path(settings.DATASET_ROOT)
        if not root.exists():
            return "database answers, no dataset yet"
        _write_in(root)
        return "database answers, dataset writable"


def _ask_database() -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchone()
    except DatabaseError as error:
        raise Unavailable(
            "the database does not answer: check DATABASE_URL and the server"
        ) from error


def _write_in(root: Path) -> None:
    try:
        with tempfile.TemporaryFile(dir=root) as file:  # nameless, so that no backup meets it
            file.write(b"probe")
            file.flush()
    except OSError as error:
        raise Unavailable(
            f"the dataset cannot be written ({error.strerror}): "
            "check that OPS_DATA_DIR is a directory with free space that we may write"
        ) from error
