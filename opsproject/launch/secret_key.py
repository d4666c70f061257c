"""Django's secret key, kept in the data directory so that sessions outlive a restart."""

import secrets

from opsproject.launch.data_directory import DataDirectory

NAME = "secret_key"  # where settings.py reads it, unless SECRET_KEY is set


def ensure_secret_key(directory: DataDirectory) -> None:
    """Draw a key at the first start and never again."""
    if not directory.read(NAME):
        directory.write(NAME, secrets.token_urlsafe(50))
