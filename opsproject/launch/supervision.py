"""supervisord under our hand: it restarts what dies and stops everything in order."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from textwrap import dedent

from opsproject.env import CHECKOUT
from opsproject.launch import orphans
from opsproject.launch.data_directory import PRIVATE_UMASK, DataDirectory
from opsproject.launch.errors import SupervisorError
from opsproject.launch.output import LinePrinter
from opsproject.launch.programs import Program

CONFIG_FILE = "supervisord.conf"
ERROR_FILE = "supervisord.err"
LOG = "supervisor"  # the name under which the supervisor's own lines are printed


class Supervisor:
    """The running supervisor."""

    def __init__(
        self, process: subprocess.Popen[bytes], directory: DataDirectory, *, stop_seconds: int
    ) -> None:
        self._process = process
        self._directory = directory
        self._stop_seconds = stop_seconds

    def require_running(self) -> None:
        """Raise SupervisorError if it has ended; to be asked now and then."""
        orphans.bury_orphans(but={self._process.pid})
        if (code := self._process.poll()) is not None:
            words = (self._directory.read(ERROR_FILE) or "").strip().splitlines() or ["no message"]
            raise SupervisorError(
                f"the process supervisor ended with {code} ({words[0]}): everything is stopped, "
                f"see {self._directory.path / ERROR_FILE} and start again"
            )

    def stop(self) -> None:
        """Stop everything in order, each within its time; whatever does not go is killed."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(self._stop_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        orphans.kill_children()


@contextmanager
def supervised(
    programs: Sequence[Program],
    *,
    directory: DataDirectory,
    environment: Mapping[str, str],
    printer: LinePrinter,
) -> Iterator[Supervisor]:
    """Keep the programs alive within the block; when it is left, none of them is."""
    config = directory.write(CONFIG_FILE, render(programs, printer=printer))
    orphans.adopt_orphans()
    with (directory.path / ERROR_FILE).open("wb") as errors:
        process = subprocess.Popen(  # noqa: S603 - our own words
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(config)],
            cwd=CHECKOUT,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,  # not our pipe: it must survive the end of `up` to stop the others
            pass_fds=(directory.lock_fd, *printer.write_fds()),
            start_new_session=True,  # Ctrl-C reaches `up` only, which then stops them in order
            preexec_fn=orphans.stop_with_parent,  # noqa: PLW1509 - one system call, no lock taken
        )
    printer.start()
    slowest = max(program.stop_seconds for program in programs)
    supervisor = Supervisor(process, directory, stop_seconds=slowest + 1)
    try:
        yield supervisor
    finally:
        supervisor.stop()
        printer.join(timeout=1)


def render(programs: Sequence[Program], *, printer: LinePrinter) -> str:
    """Return the supervisor's configuration: each process writes into its own pipe."""
    root = "user=root" if os.geteuid() == 0 else ""  # said outright, or it warns at every start
    names = ",".join(program.name for program in programs if not program.foundation)
    head = f"""\
        [supervisord]
        nodaemon=true
        silent=true
        logfile=/dev/fd/{printer.write_fd(LOG)}
        logfile_maxbytes=0
        {root}
        umask={PRIVATE_UMASK:03o}
        pidfile=%(here)s/supervisord.pid

        [group:platform]
        programs={names}
        priority=2
        """
    return "\n".join([dedent(head), *(_section(program, printer) for program in programs)])


def _section(program: Program, printer: LinePrinter) -> str:
    """Return one program's part.

    Restarts go on for ever. One that lived 3 s comes back at once; each start in a row that fails
    before that is followed by a wait one second longer than the last: 85 s after an hour of it.
    """
    return dedent(
        f"""\
        [program:{program.name}]
        command={shlex.join(program.command).replace("%", "%%")}
        priority=1
        autorestart=true
        startsecs=3
        startretries=1000000
        stopwaitsecs={program.stop_seconds}
        killasgroup=true
        redirect_stderr=true
        stdout_logfile=/dev/fd/{printer.write_fd(program.name)}
        stdout_logfile_maxbytes=0
        """
    )
