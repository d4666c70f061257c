"""What keeps a server of one's own from being started."""


class ServerMissingError(Exception):
    """The program is not installed; the message names it and how to get it."""

    code = "server_missing"
