"""manage.py on a machine that has Python and nothing else."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from opsproject.env import CHECKOUT

# Stands where uv would be downloaded from: it tells what it was asked, in place of the network.
RECORDING_UV = """#!/bin/sh
[ "$1" = --version ] && exit 0
printf '%s\\n' "uv:$*" "round:$MANAGE_PY_STARTED_BY_UV" "cache:$UV_CACHE_DIR"
exit 7
"""
BROKEN_SHIM = "#!/bin/sh\necho 'pyenv: uv: command not found' >&2\nexit 127\n"


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A checkout with nothing but manage.py, and a Python without any package."""

    checkout: Path
    programs: Path
    home: Path

    def manage(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run manage.py by a Python that sees the standard library only."""
        return self.run(
            f"runpy.run_path({str(self.checkout / 'manage.py')!r}, run_name='__main__')",
            *arguments,
            **environment,
        )

    def run(
        self, code: str, *arguments: str, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a line of code as `manage.py ARGUMENTS` would be, with an empty environment."""
        return subprocess.run(
            [
                sys.executable,
                "-S",
                "-c",
                f"import runpy, sys; sys.argv[0] = 'manage.py'; {code}",
                *arguments,
            ],
            env={"PATH": f"{self.programs}:/usr/bin:/bin", "HOME": str(self.home), **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def install(self, path: Path, script: str) -> None:
        """Put an executable script somewhere."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(script)
        path.chmod(0o755)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Return a bare machine."""
    places = {name: tmp_path / name for name in ("checkout", "programs", "home")}
    for place in places.values():
        place.mkdir()
    shutil.copy(CHECKOUT / "manage.py", places["checkout"])
    return Machine(**places)


def test_it_starts_itself_again_under_the_uv_on_path(machine: Machine) -> None:
    machine.install(machine.programs / "uv", RECORDING_UV)
    result = machine.manage("up", "--smoke")
    command = ["run", "--project", machine.checkout, "--python", sys.executable, "--no-dev"]
    command += ["python", machine.checkout / "manage.py", "up", "--smoke"]
    assert result.stdout.splitlines() == [
        f"uv:{' '.join(map(str, command))}",
        "round:1",
        "cache:",
    ]
    assert result.returncode == 7  # what uv ends with is what we end with
    assert len(result.stderr.splitlines()) == 2
    assert f"{machine.programs / 'uv'} is there to get them" in result.stderr


def test_the_tests_come_with_their_tools(machine: Machine) -> None:
    machine.install(machine.programs / "uv", RECORDING_UV)
    assert "--no-dev" not in machine.manage("test", "-k", "x").stdout


def test_an_environment_that_is_there_keeps_its_python(machine: Machine) -> None:
    machine.install(machine.programs / "uv", RECORDING_UV)
    machine.install(machine.checkout / ".venv" / "pyvenv.cfg", "")
    assert "--python" not in machine.manage("up").stdout


def test_a_shim_without_a_uv_behind_it_is_passed_over(machine: Machine) -> None:
    machine.install(machine.programs / "uv", BROKEN_SHIM)
    fetched = machine.checkout / ".bootstrap" / "uv" / "bin" / "uv"
    machine.install(fetched, RECORDING_UV)
    result = machine.manage("up")
    assert result.returncode == 7
    assert str(fetched) in result.stderr


def test_a_home_that_cannot_be_written_to_moves_the_cache(machine: Machine) -> None:
    machine.install(machine.programs / "uv", RECORDING_UV)
    (machine.home / "file").touch()  # root may write anywhere, but not into a file
    result = machine.manage("up", HOME=str(machine.home / "file"))
    assert f"cache:{machine.checkout / '.bootstrap' / 'cache'}" in result.stdout


def test_it_goes_round_only_once(machine: Machine) -> None:
    machine.install(machine.programs / "uv", RECORDING_UV)
    result = machine.manage("up", MANAGE_PY_STARTED_BY_UV="1")
    assert result.returncode == 2
    assert "remove" in only_error(result)


def test_neither_uv_nor_pip_is_one_line_with_the_remedy(machine: Machine) -> None:
    result = machine.manage("up")
    assert result.returncode == 2
    assert "apt install python3-pip" in only_error(result)


def test_a_python_that_is_too_old_is_one_line_with_the_remedy(machine: Machine) -> None:
    old = "sys.version_info, sys.version = (3, 9, 2), '3.9.2 (old)'; "
    run = f"runpy.run_path({str(machine.checkout / 'manage.py')!r}, run_name='__main__')"
    result = machine.run(old + run, "up")
    assert result.returncode == 2
    assert "Python 3.9.2 is too old" in only_error(result)


def test_the_exit_code_of_the_tests_is_that_of_pytest() -> None:
    command = [sys.executable, str(CHECKOUT / "manage.py"), "test", "--collect-only", "-q"]
    result = subprocess.run(
        [
            *command,
            "tests/unit/test_launch_ports.py",
            "-k",
            "no_such_test",
            "-p",
            "no:cacheprovider",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == pytest.ExitCode.NO_TESTS_COLLECTED


def only_error(result: subprocess.CompletedProcess[str]) -> str:
    """Return the only line on stderr, which must be an error."""
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    return line
