"""The command: `uv run --group bench python -m benchmarks [LINE] [--option VALUE] …`."""

import argparse
import sys

from benchmarks.lines import (
    adoption,
    backups,
    edits,
    idle,
    latency,
    offices,
    recovery,
    same_second,
    throughput,
)
from benchmarks.options import add_options
from benchmarks.report import render

LINES = (same_second, idle, edits, latency, throughput, recovery, adoption, offices, backups)


def main() -> None:
    """Measure what was asked for, or everything, and print the table."""
    parser = argparse.ArgumentParser(prog="benchmarks", description="Without a line: all of them.")
    commands = parser.add_subparsers(dest="line", metavar="LINE")
    for line in LINES:
        add_options(commands.add_parser(line.NAME, description=line.__doc__), line.measure)
    given = vars(parser.parse_args())
    name = given.pop("line")
    chosen = [line for line in LINES if name in (None, line.NAME)]
    figures = [figure for line in chosen for figure in line.measure(**given)]
    sys.stdout.write(render(figures) + "\n")


if __name__ == "__main__":
    main()
