"""Lost workers, told without a wall clock."""

from uuid import UUID, uuid4

from scheduling.engine.liveness import Liveness

WORKER = uuid4()


def observe(liveness: Liveness, *sightings: tuple[float, int]) -> set[UUID]:
    lost: set[UUID] = set()
    for monotonic, beat_no in sightings:
        lost = liveness.observe({WORKER: beat_no}, monotonic=monotonic)
    return lost


def test_a_counter_that_stops_for_eight_seconds_is_lost() -> None:
    liveness = Liveness(loop_seconds=1)
    assert observe(liveness, *((second, 5) for second in range(8))) == set()
    assert observe(liveness, (8.0, 5)) == {WORKER}


def test_a_counter_that_moves_is_alive() -> None:
    assert observe(Liveness(loop_seconds=1), *((n, n // 4) for n in range(60))) == set()


def test_an_observer_that_was_held_up_forgets_what_it_saw() -> None:
    liveness = Liveness(loop_seconds=1)
    assert observe(liveness, (0.0, 5), (1.0, 5), (30.0, 5)) == set()
    assert observe(liveness, *((30.0 + n, 5) for n in range(1, 8))) == set()
    assert observe(liveness, (38.0, 5)) == {WORKER}
