"""The one door to what the base install lacks: modules that import torch, found by name when a command needs them.

`voxelsmith.cli` and everything it imports stay without torch, so that the API, the client commands and --help work (and
start fast) where only the base package is installed. docs/decisions/0006-lazy-command-line.md says why it is done so.
"""

import importlib
import importlib.util
import json
import shlex
from importlib import metadata
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit
from urllib.request import url2pathname

_ANYWHERE = "WHEEL-OR-CHECKOUT"


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
        raise MissingExtraError(f"this needs {missing}, which is not installed: {how_to_install(extra)}") from err


def require(library: str, extra: str) -> None:
    """Raises: MissingExtraError when a library, which another process is about to need, is not installed."""
    if importlib.util.find_spec(library) is None:
        raise MissingExtraError(f"this needs {library}, which is not installed: {how_to_install(extra)}")


def how_to_install(extra: str) -> str:
    """pip's command for an extra, from where this Voxelsmith was installed from: no index is known to have it."""
    try:
        noted = metadata.distribution("voxelsmith").read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        noted = "{}"
    if noted is None:  # it came from an index, which has the extra too
        return f"pip install 'voxelsmith[{extra}]'"
    origin = json.loads(noted)
    address = urlsplit(str(origin.get("url", "")))
    path = Path(url2pathname(address.path))
    source = str(path) if address.scheme == "file" and path.exists() else _ANYWHERE
    editable = "-e " if origin.get("dir_info", {}).get("editable") else ""
    return f"pip install {editable}{shlex.quote(f'{source}[{extra}]')}"
