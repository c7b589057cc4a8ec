"""How many connections and transfers the process has file descriptors for. Without one no connection is accepted.

A connection takes one, a transfer (a download, an upload) one more for its file. What the threads take is left free.
"""

import resource
from dataclasses import dataclass

MAX_CONNECTIONS = 800
MAX_TRANSFERS = 512
"""Downloads and uploads under way; further ones are answered with 503."""


@dataclass(frozen=True)
class Budget:
    """How many there may be at once."""

    connections: int
    transfers: int


def budget(limit: int, threads: int) -> Budget:
    """For a limit of descriptors and so many threads, each with a connection to the queue and a file."""
    free = max(16, limit - 2 * threads - 64)
    transfers = min(MAX_TRANSFERS, max(free // 4, free - MAX_CONNECTIONS))
    return Budget(min(MAX_CONNECTIONS, free - transfers), transfers)


def raise_limit(threads: int) -> int:
    """The limit of open files, raised as far as is needed and the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS + MAX_TRANSFERS + 2 * threads + 64
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    reachable = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (reachable, hard))
    return reachable
