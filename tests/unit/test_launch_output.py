"""One stream of whole lines from many processes."""

import io
import os
import threading

from opsproject.launch.output import LinePrinter


def test_lines_are_marked_and_never_mixed() -> None:
    printed = io.BytesIO()
    printer = LinePrinter(["web", "worker"], to=printed, on_closed=lambda: None)
    web, worker = (os.dup(printer.write_fd(name)) for name in ("web", "worker"))
    printer.start()
    for fd, part in [(web, b"one "), (worker, b"two "), (web, b"line\n"), (worker, b"parts\r\n")]:
        os.write(fd, part)
    close(printer, web, worker)
    assert sorted(printed.getvalue().splitlines()) == [b"web    | one line", b"worker | two parts"]


def test_a_last_line_without_an_end_is_printed() -> None:
    printed = io.BytesIO()
    printer = LinePrinter(["web"], to=printed, on_closed=lambda: None)
    web = os.dup(printer.write_fd("web"))
    printer.start()
    os.write(web, b"cut off")
    close(printer, web)
    assert printed.getvalue() == b"web | cut off\n"


def test_an_output_that_nobody_reads_is_reported_once_and_blocks_nobody() -> None:
    closed = threading.Semaphore(0)
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "wb", buffering=0) as broken:
        printer = LinePrinter(["web"], to=broken, on_closed=closed.release)
        web = os.dup(printer.write_fd("web"))
        printer.start()
        for _ in range(20):
            os.write(web, b"x" * 60_000 + b"\n")  # more than a pipe holds
        close(printer, web)
    assert closed.acquire(timeout=5)
    assert not closed.acquire(blocking=False)


def close(printer: LinePrinter, *fds: int) -> None:
    """Close what the processes would, and wait for the rest to be printed."""
    for fd in fds:
        os.close(fd)
    printer.join(timeout=5)
