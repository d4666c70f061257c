"""Asking a message broker whether a client could use it now."""

from kombu import Connection


def broker_answers(url: str) -> bool:
    """Open a connection and close it."""
    try:
        with Connection(url, connect_timeout=1) as connection:
            connection.ensure_connection(max_retries=0)
    except Exception:  # noqa: BLE001 each transport its own; not yet is not yet
        return False
    return True
