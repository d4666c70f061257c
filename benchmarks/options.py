"""Turns the keyword arguments of a line's `measure` into options of its sub-command."""

import argparse
import inspect
from collections.abc import Callable
from typing import Any


def add_options(parser: argparse.ArgumentParser, measure: Callable[..., Any]) -> None:
    """Add one option per keyword argument, of its default's type."""
    for name, parameter in inspect.signature(measure).parameters.items():
        parser.add_argument(
            f"--{name}",
            type=type(parameter.default),
            default=parameter.default,
            help=f"default {parameter.default!r}",
        )
