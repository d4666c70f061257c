"""Looking for children while threads come and go."""

import subprocess
import threading

from opsproject.launch.orphans import bury_orphans


def test_a_thread_that_ends_meanwhile_disturbs_nobody() -> None:
    done = threading.Event()
    churning = [threading.Thread(target=churn, args=(done,)) for _ in range(8)]
    for thread in churning:
        thread.start()
    try:
        with subprocess.Popen(["true"]) as child:
            for _ in range(500):
                bury_orphans(but={child.pid})
    finally:
        done.set()
        for thread in churning:
            thread.join()
    assert child.returncode == 0  # left to the one who waits for it


def churn(done: threading.Event) -> None:
    """Start and end threads until told to stop."""
    while not done.is_set():
        threads = [threading.Thread(target=int) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
