"""Kills at random, and starts again a little later what it killed.

Everything happens in the thread that calls `turn`: what is started is to end with that thread.
"""

import heapq
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Final

from opsproject.chaos.cluster import Cluster, Victim
from opsproject.chaos.members import Member
from opsproject.chaos.plan import Plan

FREEZE: Final = "freeze"
WEIGHTS: Final = {"beat": 4, "worker": 5, "broker": 2, "database": 2, FREEZE: 3}
SOON_SECONDS: Final = (0.2, 3.0)
# Past a worker's lease of 8 s: what it held is given away before it, or its like, is back.
LATE_SECONDS: Final = (9.0, 14.0)
LATE_SHARE = 0.25  # of the killed beats and workers


@dataclass(frozen=True, kw_only=True)
class Kill:
    """What was done to whom; `at` in seconds since 1970."""

    kind: str
    name: str
    at: float


class Killer:
    """Chooses moments and victims by the plan's seed; `kills` and `deaths` are what happened."""

    def __init__(self, plan: Plan, cluster: Cluster) -> None:
        self.kills: list[Kill] = []
        self.deaths: list[str] = []  # what ended although nobody killed it
        self._cluster = cluster
        self._random = random.Random(plan.seed)  # noqa: S311 no secret
        self._kinds = [*plan.kill, *([FREEZE] if plan.freeze else [])]
        self._mean_seconds = 60 / plan.kills_per_minute
        self._next_at = time.monotonic() + self._pause()
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._number = count()
        self._down: set[str] = set()

    def turn(self) -> None:
        """Do what is due by now."""
        self.tend()
        if (now := time.monotonic()) >= self._next_at:
            self._strike(now)
            self._next_at = now + self._pause()

    def tend(self) -> None:
        """Kill nobody; bring back what is due, or has died by itself."""
        self._cluster.bury_orphans()
        now = time.monotonic()
        self._do_later(until=now)
        self._note_deaths(now)

    def end(self) -> None:
        """Kill no more, and bring back at once what is down or frozen."""
        self._do_later(until=float("inf"))

    def _pause(self) -> float:
        return self._random.expovariate(1 / self._mean_seconds)

    def _do_later(self, *, until: float) -> None:
        while self._later and self._later[0][0] <= until:
            heapq.heappop(self._later)[2]()

    def _strike(self, now: float) -> None:
        if kinds := [kind for kind in self._kinds if self._standing(kind)]:
            kind = self._random.choices(kinds, [WEIGHTS[kind] for kind in kinds])[0]
            victim = self._random.choice(self._standing(kind))
            self.kills.append(Kill(kind=kind, name=victim.name, at=time.time()))
            self._down.add(victim.name)
            if kind == FREEZE and isinstance(victim, Member):
                victim.freeze()
                self._bring_back(victim, victim.thaw, now + self._random.uniform(*LATE_SECONDS))
            else:
                victim.kill()
                self._bring_back(victim, victim.start, now + self._down_seconds(victim))

    def _down_seconds(self, victim: Victim) -> float:
        late = isinstance(victim, Member) and self._random.random() < LATE_SHARE
        return self._random.uniform(*(LATE_SECONDS if late else SOON_SECONDS))

    def _standing(self, kind: str) -> list[Victim]:
        wanted = "worker" if kind == FREEZE else kind
        of_kind = (one for its, one in self._cluster.victims() if its == wanted)
        return [one for one in of_kind if one.name not in self._down]

    def _bring_back(self, victim: Victim, how: Callable[[], None], at: float) -> None:
        def back() -> None:
            how()
            self._down.discard(victim.name)

        heapq.heappush(self._later, (at, next(self._number), back))

    def _note_deaths(self, now: float) -> None:
        """What ended by itself is started again, as a supervisor would, and told."""
        for _, one in self._cluster.victims():
            code = None if one.name in self._down else one.died_by_itself()
            if code is not None:
                self.deaths.append(f"{one.name} ended by itself with code {code}: see {one.log}")
                self._down.add(one.name)
                self._bring_back(one, one.start, now + 1.0)
