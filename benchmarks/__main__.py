"""The command: `uv run --group bench python -m benchmarks [LINE] [--rounds N] …`."""

import argparse
import sys

from benchmarks import throughput
from benchmarks.report import render


def main() -> None:
    """Measure what was asked for and print the table."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    lines = parser.add_subparsers(dest="line", required=True)
    line = lines.add_parser("throughput", help="durable runs a second beside the peers")
    line.add_argument("--runs", type=int, default=20_000)
    line.add_argument("--rounds", type=int, default=3)
    line.add_argument("--only", default="", choices=["", *throughput.CONTESTANTS])
    given = parser.parse_args()
    figures = throughput.measure(runs=given.runs, rounds=given.rounds, only=given.only)
    sys.stdout.write(render(figures) + "\n")


if __name__ == "__main__":
    main()
