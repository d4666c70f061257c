"""Runs commands of manage.py in forks of one process that has loaded Django.

Each takes its own time then, and not a second of imports before. Started by `LoadedManage`.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from opsproject.env import CHECKOUT


class LoadedManage:
    """`run` runs a command in `cwd`, as `python3 manage.py` does, and gives its output."""

    def __init__(self, cwd: Path, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.loaded_manage"],
            cwd=cwd,
            env={**environment, "PYTHONPATH": str(CHECKOUT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.communicate()

    def run(self, arguments: Sequence[str]) -> tuple[int, str]:
        """Return the exit code, and what it wrote to standard output."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(arguments) + "\n")
        self._process.stdin.flush()
        code, output = json.loads(self._process.stdout.readline())
        return code, output


def _serve() -> None:
    import django  # noqa: PLC0415 here alone, where the environment is the command's

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "opsproject.settings")
    django.setup()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_forked(json.loads(line))) + "\n")
        sys.stdout.flush()


def _forked(arguments: list[str]) -> tuple[int, str]:
    with tempfile.TemporaryFile() as output:
        child = os.fork()
        if child == 0:
            os.dup2(output.fileno(), 1)
            _execute(arguments)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        output.seek(0)
        return code, output.read().decode()


def _execute(arguments: list[str]) -> Any:
    from django.core.management import execute_from_command_line  # noqa: PLC0415

    code = 1
    try:
        execute_from_command_line(["manage.py", *arguments])
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    finally:
        sys.stdout.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve()
