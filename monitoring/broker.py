"""A connection to the broker that cannot hang: every step has a limit."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from kombu import Connection
from kombu.exceptions import OperationalError

from monitoring.errors import BrokerError
from scheduling.logs import configured_redactor

AMQP = ("amqp", "pyamqp")


@contextmanager
def bounded_connection(seconds: int) -> Iterator[Connection]:
    """Give an open connection whose every network step ends within `seconds`; close it afterwards.

    Raises BrokerError when the broker does not answer, now or inside the block.
    """
    url = settings.CELERY_BROKER_URL
    connection = Connection(
        url, connect_timeout=seconds, transport_options=_transport_options(url, seconds)
    )
    try:
        connection.ensure_connection(max_retries=1, timeout=seconds)
        yield connection
    except _errors(connection) as error:
        raise BrokerError(
            f"the broker does not answer ({configured_redactor().text(str(error))}): "
            "check CELERY_BROKER_URL and the server"
        ) from error
    finally:
        connection.release()


def _transport_options(url: str, seconds: int) -> dict[str, Any]:
    """Add limits to what the workers use.

    Theirs are kept: a visibility timeout that differs would re-deliver their messages.
    """
    if url.split(":", 1)[0] in AMQP:
        limits = {"read_timeout": seconds, "write_timeout": seconds}
    else:
        limits = {"socket_timeout": seconds, "socket_connect_timeout": seconds}
    return {**settings.CELERY_BROKER_TRANSPORT_OPTIONS, **limits, "max_retries": 1}


def _errors(connection: Connection) -> tuple[type[BaseException], ...]:
    """Return what the transport in use raises."""
    return (OSError, OperationalError, *connection.connection_errors, *connection.channel_errors)
