"""What may go wrong here, each with a stable code.

MonitoringError
  BrokerError      broker_unreachable
  HeartbeatError   heartbeat_lost
"""


class MonitoringError(Exception):
    """Something could not be measured."""

    code = "monitoring"


class BrokerError(MonitoringError):
    """The broker does not answer."""

    code = "broker_unreachable"


class HeartbeatError(MonitoringError):
    """A message did not make its way through the broker and back."""

    code = "heartbeat_lost"
