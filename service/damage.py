"""What is said of a stored file that is not the one of its record."""

from collections.abc import Iterator
from contextlib import contextmanager

from contract.errors import UnknownResult
from service.http.errors import ResultDamaged

DAMAGED = "The stored file does not have its SHA-256 any more; run the job again."


@contextmanager
def missing_is_damaged() -> Iterator[None]:
    """For a file that a record names: it was there."""
    try:
        yield
    except UnknownResult as err:
        raise ResultDamaged("The stored file is gone; run the job again.") from err
