"""The platform's settings for a cluster under chaos: its own jobs only, no standing ones."""

from opsproject.settings import *  # noqa: F403

OPS_TARGETS = {}
OPS_DEPLOYMENT = "chaos"  # whatever is killed and comes back, it is the same one
