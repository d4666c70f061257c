"""What the probes share: a name, a finding in words, and the redactor on every way out."""

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

from django.db import connections
from health_check.base import HealthCheck
from health_check.exceptions import HealthCheckException, ServiceUnavailable, ServiceWarning

from scheduling.logs import configured_redactor


@dataclass(repr=False)
class Probe(HealthCheck):
    """A check of django-health-check that says what it found.

    Fields of a probe are its thresholds. `finding` stands once the check has run and passed.
    """

    name: ClassVar[str]
    # False where there is nothing to look at: such a probe passes, and is painted grey.
    checked: ClassVar[bool] = True
    finding: str = field(default="", init=False)

    @abstractmethod
    def look(self) -> str:
        """Return in a few words what is well; raise Unavailable or Degraded for what is not.

        The words are public: no path, no address, no name of a person.
        """

    def run(self) -> None:  # type: ignore[override] # the library runs a plain one in a thread
        """Look, in a thread of the probe's own."""
        try:
            self.finding = configured_redactor().text(self.look())
        except HealthCheckException as error:
            error.message = configured_redactor().text(error.message)
            raise
        finally:
            connections.close_all()  # those of this thread, which ends with the check

    def pretty_status(self) -> str:
        """Return the finding: the library asks only when all is well."""
        return self.finding

    @property
    def labels(self) -> dict[str, str]:
        """Return the labels of the metrics."""
        return {"check": self.name}

    def __repr__(self) -> str:
        return self.name


class Unavailable(ServiceUnavailable):
    """What the probe looks at does not work; the message is public and names the remedy."""

    def __init__(self, message: str) -> None:
        super().__init__(message)  # type: ignore[no-untyped-call] # the library has no annotations


class Degraded(ServiceWarning):
    """What the probe looks at works, but not well enough."""

    def __init__(self, message: str) -> None:
        super().__init__(message)  # type: ignore[no-untyped-call] # the library has no annotations
