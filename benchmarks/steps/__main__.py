"""Runs one step: `python -m benchmarks.steps NAME '{"argument": …}'`; prints what it returned."""

import importlib
import json
import sys

import django


def main(name: str, arguments: str) -> None:
    """Set Django up as the rig says, run the step, print its answer."""
    django.setup()
    step = importlib.import_module(f"benchmarks.steps.{name}")
    sys.stdout.write(json.dumps(step.run(**json.loads(arguments))))


if __name__ == "__main__":
    main(*sys.argv[1:])
