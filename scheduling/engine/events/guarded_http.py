"""Sends requests to addresses that operators give, and to none inside the own network.

The address that was looked up is judged and then used, so that no second look-up can change it; no
redirect is followed, no proxy is asked. What is inside and meant, `OPS_WEBHOOK_HOSTS` names.
"""

import ipaddress
import socket
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx

TIMEOUT = httpx.Timeout(10.0, connect=5.0)
WHOLE_SECONDS = 10.0  # for all of a try: who drips a byte now and then is cut off
SCHEMES = {"https": 443, "http": 80}
# IPv6 that leads to IPv4, or stays inside, and is_global of no older Python knows all of it.
INSIDE = tuple(
    map(
        ipaddress.ip_network,
        ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "fec0::/10", "::/96", "::ffff:0:0:0/96"),
    )
)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class RefusedAddress(Exception):  # noqa: N818 the name reads at the raise
    """The URL leads where nothing is sent; the text says why, and the remedy."""


def check_url(url: str) -> tuple[str, int]:
    """Return host and port of a URL; raise RefusedAddress for what is no plain one."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise RefusedAddress(f"{url!r} is no URL: {error}") from error
    if parts.scheme not in SCHEMES or not parts.hostname:
        raise RefusedAddress(f"{url!r} is no address: give https://host/path")
    if parts.username is not None or parts.password is not None:
        raise RefusedAddress("the URL has a user in it: the signature says who sends")
    return parts.hostname, port or SCHEMES[parts.scheme]


def require_outside(url: str, *, allowed: Collection[str]) -> None:
    """Raise RefusedAddress for a URL whose host is an address that is not reached.

    A name is looked up at each try: it may lead elsewhere by then.
    """
    host, _ = check_url(url)
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return
    _require(host, [address], allowed)


def post(url: str, content: bytes, headers: Mapping[str, str], *, allowed: Collection[str]) -> int:
    """Post to the URL; return the status that it answers.

    Raises RefusedAddress, or httpx.HTTPError where nobody answers.
    """
    host, port = check_url(url)
    address = _resolve(host, port, allowed)
    target = httpx.URL(url).copy_with(host=str(address))
    with (
        httpx.Client(timeout=TIMEOUT, trust_env=False, follow_redirects=False) as client,
        _cut_off(client),
        client.stream(
            "POST",
            target,
            content=content,
            headers={**headers, "Host": urlsplit(url).netloc},
            extensions={"sni_hostname": host},
        ) as answer,
    ):
        return answer.status_code  # and nothing of its body is read


@contextmanager
def _cut_off(client: httpx.Client) -> Iterator[None]:
    """Close the connections of a client when its time is over, whatever it waits for."""
    over = threading.Event()

    def cut() -> None:
        over.set()
        client.close()

    timer = threading.Timer(WHOLE_SECONDS, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    except Exception as error:
        if over.is_set():
            raise httpx.ReadTimeout(f"no whole answer within {WHOLE_SECONDS:.0f} s") from error
        raise
    finally:
        timer.cancel()


def _resolve(host: str, port: int, allowed: Collection[str]) -> Address:
    """Look a host up; every address that it has must be one that may be reached."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise RefusedAddress(f"the host {host!r} is not known: {error}") from error
    addresses = [ipaddress.ip_address(str(info[4][0]).partition("%")[0]) for info in found]
    _require(host, addresses, allowed)
    return addresses[0]


def _require(host: str, addresses: Collection[Address], allowed: Collection[str]) -> None:
    if host in allowed:
        return
    for address in addresses:
        if not _is_outside(address) and not _is_allowed(address, allowed):
            raise RefusedAddress(
                f"{host!r} is {address}, inside the own network: "
                "name the host or its network in OPS_WEBHOOK_HOSTS if that is meant"
            )


def _is_outside(address: Address) -> bool:
    mapped = getattr(address, "ipv4_mapped", None)
    real = address if mapped is None else mapped
    led_inside = any(real in network for network in INSIDE if network.version == real.version)
    return real.is_global and not real.is_multicast and not led_inside


def _is_allowed(address: Address, allowed: Collection[str]) -> bool:
    return any(address in network for network in map(_network, allowed) if network is not None)


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None  # a host's name
