"""The operator's own tasks: whether the workers will find them."""

import importlib.util
from collections.abc import Iterable

from opsproject.launch.errors import TaskModuleError


def require_found(modules: Iterable[str]) -> None:
    """Raise TaskModuleError for a module whose package is nowhere; it is not imported here."""
    for name in modules:
        package = name.partition(".")[0]
        if importlib.util.find_spec(package) is None:
            raise TaskModuleError(
                f"OPS_TASK_MODULES names {name}, and no {package} is found: name its directory in "
                "PYTHONPATH, or correct it"
            )
