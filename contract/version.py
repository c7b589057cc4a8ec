"""Which Voxelsmith this is: pyproject.toml says it, and the installed package carries it."""

from importlib import metadata

VERSION_FIELD = "Voxelsmith-Version"
"""The header field in which every answer of a server says its version."""


def software_version() -> str:
    """Such as "1.2.0"; "unknown" where it runs from a source tree that is not installed."""
    try:
        return metadata.version("voxelsmith")
    except metadata.PackageNotFoundError:
        return "unknown"
