"""Clients that submit work to the offices all the while, and ask again what got no answer.

A thread with a connection of its own. It asks with the same key, as a careful client does: what it
was promised is there, once; what it was not is there whole, or not at all.
"""

import logging
import random
import threading
from dataclasses import dataclass

from django.db import connection

from opsproject.chaos.history import Submitted
from opsproject.chaos.office_work import draw_works
from opsproject.chaos.workload import BY_CHAOS
from scheduling.actions.offices.submit_work import submit_work
from scheduling.actions.offices.work import Work
from scheduling.errors import SubmissionUnderway
from scheduling.models import Office
from scheduling.outage import OUTAGE

logger = logging.getLogger(__name__)

MEAN_SECONDS = 10.0  # between two requests to one office: more than it can do would never settle


@dataclass(frozen=True)
class _Request:
    office: Office
    works: list[Work]
    key: str


class Clients(threading.Thread):
    """Submits until stopped; `promised` is what was accepted, `failures` what must not happen."""

    def __init__(self, offices: list[Office], *, seed: int) -> None:
        super().__init__(name="chaos-clients", daemon=True)
        self.promised: list[Submitted] = []
        self.refused = 0
        self.failures: list[str] = []
        self._offices = offices
        self._random = random.Random(seed)  # noqa: S311 no secret
        self._unanswered: list[_Request] = []
        self._stopping = threading.Event()

    def run(self) -> None:
        """Submit now and then until stopped."""
        rate = len(self._offices) / MEAN_SECONDS
        while self._offices and not self._stopping.wait(self._random.expovariate(rate)):
            self._submit(self._next())
        connection.close()

    def stop(self) -> None:
        """End after the present request."""
        self._stopping.set()
        self.join()

    def _next(self) -> _Request:
        """Return what had no answer yet, or something new."""
        if self._unanswered and self._random.getrandbits(1):
            return self._unanswered.pop(0)
        key = f"{self._random.getrandbits(64):x}"
        return _Request(self._random.choice(self._offices), draw_works(self._random), key)

    def _submit(self, request: _Request) -> None:
        try:
            made = submit_work(request.office, request.works, BY_CHAOS, idempotency_key=request.key)
        except OUTAGE as error:
            self._unanswered.append(request)
            self.refused += 1
            if "deadlock" in str(error):
                self.failures.append(f"deadlock in submit: {error}")
            connection.close()
        except SubmissionUnderway:  # what the outage left half written, a beat takes away one day
            self._unanswered.append(request)
        except Exception as error:
            logger.exception("client_failed")
            self.failures.append(f"submit: {type(error).__name__}: {error}")
        else:
            self.promised.append(
                Submitted(
                    office=request.office.office_id, submission=made.pk, runs=len(request.works)
                )
            )
