"""Memory of the CPU between volumes: the C library keeps it instead of returning it to the system each time."""

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""malloc.h of glibc."""
_KEPT_UP_TO_BYTES = 128 * 2**20
"""Larger blocks go back at once: kept, they leave holes that the next one does not fit into."""
_LARGEST = 2**31 - 1


def keep_freed_memory() -> None:
    """From now on a tensor's memory is used again for the next one: a page that the system hands out anew costs a fault
    (docs/performance.md, "Where a pass spends its time"). Elsewhere than on glibc nothing happens."""
    mallopt = _of_glibc("mallopt")
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _KEPT_UP_TO_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _LARGEST)


def return_freed_memory() -> None:
    """Back to the system with what is free."""
    trim = _of_glibc("malloc_trim")
    if trim is not None:
        trim(0)


def _of_glibc(name: str) -> "ctypes._NamedFuncPointer | None":
    try:
        library = ctypes.CDLL(None)
    except (OSError, TypeError):  # no such thing on this system
        return None
    return getattr(library, name, None) if hasattr(library, "gnu_get_libc_version") else None
