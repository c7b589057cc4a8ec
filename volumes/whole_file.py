"""A file of the user's that is there whole or not at all."""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def taking_the_place_of(path: Path) -> Iterator[BinaryIO]:
    """A file that becomes `path` when the block ends well, readable by whom the umask lets; otherwise nothing changes.

    It is renamed and not linked: exFAT and some network file systems have no links.
    Raises: OSError with `path` as its file name, whichever draft or disk it came from.
    """
    draft = path.with_name(f".voxelsmith-{secrets.token_hex(8)}")
    try:
        with draft.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as err:
        raise OSError(err.errno, os.strerror(err.errno or errno.EIO), str(path)) from err
    finally:
        draft.unlink(missing_ok=True)
