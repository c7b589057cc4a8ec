"""The one door to what the base install lacks: modules that import torch, found by name when a command needs them.

`voxelsmith.cli` and everything it imports stay without torch, so that the API, the client commands and --help work (and
start fast) where only the base package is installed. docs/decisions/0006-lazy-command-line.md says why it is done so.
"""

import importlib
import importlib.util
from types import ModuleType


class MissingExtraError(Exception):
    """A part of the package that was not installed; the message says how to get it."""


def load(module: str, extra: str) -> ModuleType:
    """Import one of this project's modules by name. Raises: MissingExtraError without the libraries of `extra`."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as err:
        missing = (err.name or "").partition(".")[0]
        if missing == module.partition(".")[0]:
            raise
        raise MissingExtraError(
            f"this needs {missing}, which is not installed: pip install 'voxelsmith[{extra}]'"
        ) from err


def require(library: str, extra: str) -> None:
    """Raises: MissingExtraError when a library, which another process is about to need, is not installed."""
    if importlib.util.find_spec(library) is None:
        raise MissingExtraError(f"this needs {library}, which is not installed: pip install 'voxelsmith[{extra}]'")
