"""What keeps chaos from being made; each is one line for the operator.

ChaosError
├── RefusedError        a plan that contradicts itself, or that this machine cannot carry out
└── NotStartedError     a server or a process of the cluster did not come up
"""


class ChaosError(Exception):
    """The cluster was not tried; the message names the thing and the remedy."""

    code = "chaos"


class RefusedError(ChaosError):
    """The plan cannot be carried out."""

    code = "refused"


class NotStartedError(ChaosError):
    """The cluster did not come up, or its jobs could not be made."""

    code = "not_started"
