"""What stops `up` before or while it runs; each is one line for the operator.

LaunchError
├── DataDirectoryError          unwritable, unreadable, or held by another `up`
├── PortTakenError
├── DatabaseUnusableError
├── BrokerUnreachableError
├── UnsupportedBrokerError      a broker that the processes cannot share
├── TaskModuleError             tasks that workers are to load are not found
├── SupervisorError             it ended although nobody asked it to
├── NotReadyError
└── SmokeError
"""


class LaunchError(Exception):
    """The platform cannot run; the message names the thing and the remedy."""

    code = "launch"


class DataDirectoryError(LaunchError):
    """The data directory, or a file in it, cannot be used."""

    code = "data_directory"


class PortTakenError(LaunchError):
    """Something else listens on the web port."""

    code = "port_taken"


class DatabaseUnusableError(LaunchError):
    """The database does not answer, or refuses what we have to do in it."""

    code = "database_unusable"


class BrokerUnreachableError(LaunchError):
    """Nothing answers at CELERY_BROKER_URL, or no embedded broker can be started."""

    code = "broker_unreachable"


class UnsupportedBrokerError(LaunchError):
    """CELERY_BROKER_URL names a kind of broker that we do not run on."""

    code = "unsupported_broker"


class TaskModuleError(LaunchError):
    """A module with tasks is nowhere."""

    code = "task_module"


class SupervisorError(LaunchError):
    """The supervisor ended although nobody asked it to."""

    code = "supervisor"


class NotReadyError(LaunchError):
    """The web process does not answer within the time limit."""

    code = "not_ready"


class SmokeError(LaunchError):
    """A standing job has no good run within the time limit."""

    code = "smoke"
