"""The password between our web process and our Flower, drawn anew at each start."""

import secrets
from dataclasses import dataclass, field

from opsproject.launch.ports import LOOPBACK, free_port

USER = "ops"


@dataclass(frozen=True, kw_only=True)
class FlowerAccess:
    """Where Flower listens and what it asks for; told by environment, as `ps` shows arguments."""

    port: int
    password: str = field(repr=False)

    @classmethod
    def draw(cls) -> "FlowerAccess":
        """Return a free port and a new password."""
        return cls(port=free_port(), password=secrets.token_urlsafe(32))

    def environment(self) -> dict[str, str]:
        """Return the variables that Flower and the web process read."""
        return {
            "FLOWER_BASIC_AUTH": f"{USER}:{self.password}",
            "OPS_FLOWER_URL": f"http://{USER}:{self.password}@{LOOPBACK}:{self.port}",
        }
