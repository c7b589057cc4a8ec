"""The data folder: open to this user alone, whatever the umask says, and none that others could swap parts of."""

import os
import stat
from pathlib import Path


class DataFolderError(Exception):
    """The data folder cannot be used; the message is for the user."""


def make_private(folder: Path) -> None:
    """Makes `folder` if need be, and closes it to all others (mode 700).

    A folder that root has given to a group of ours, as a container's volume is, stays as it is.

    Raises: DataFolderError where it is someone else's, or one that all share; OSError.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    state = folder.stat()
    if state.st_mode & stat.S_ISVTX or folder.resolve() == Path("/"):
        raise DataFolderError(f"{folder} is shared by all; name a folder of its own")
    if state.st_uid == os.getuid():
        folder.chmod(0o700)
    elif state.st_uid != 0 or state.st_mode & stat.S_IWOTH:
        raise DataFolderError(f"{folder} belongs to another user")
