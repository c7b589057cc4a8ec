"""A DICOM series to one NIfTI file, in a child process: what parses and decodes a stranger's bytes stays out of here.

Nothing of pydicom is imported here, so that the front end and the client can ask.
"""

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from volumes.reader_limits import Limits
from volumes.volume import VolumeError

PROGRAM = "from volumes.dicom.child import main; main()"
TOO_MUCH = "Reading the DICOM series needs more memory, time or disk than it may take; it is damaged or too large."
FAILED = "The DICOM series cannot be read: it is damaged."
SPARE_BYTES = 1 << 30
BYTES_PER_VOXEL = 16
"""At most at once: stored numbers while a file is decoded, the volume, and its straightened or smallest copy."""
CPU_S, WALL_S = 600, 900.0


def convert(
    source: BinaryIO | Path, target: BinaryIO, limits: Limits, series: int | None = None, is_packed: bool = False
) -> None:
    """Writes the volume of an open file, or a folder, into an open file with a number, from where it stands.

    Raises:
        VolumeError: the series is refused, or the child ran into a limit or died.
    """
    is_folder = isinstance(source, Path)
    numbers = [target.fileno()] + ([] if isinstance(source, Path) else [source.fileno()])
    order = {
        "folder": str(source) if is_folder else None,
        "source": None if is_folder else numbers[1],
        "target": numbers[0],
        "series": series,
        "is_packed": is_packed,
        "bounds": {"max_voxels": limits.max_voxels, "max_bytes": limits.max_bytes},
        "memory_bytes": SPARE_BYTES + BYTES_PER_VOXEL * limits.max_voxels + limits.max_bytes // 4,
        "file_bytes": 4 * limits.max_voxels + (1 << 20),
        "cpu_s": CPU_S,
    }
    environment = {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with subprocess.Popen(  # noqa: S603 -- our own interpreter and a constant program; what it is to read travels as data
        [sys.executable, "-P", "-s", "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, env=environment, pass_fds=numbers,
    ) as child, ExitStack() as stack:  # fmt: skip
        stack.callback(child.kill)
        try:
            reply, _ = child.communicate(json.dumps(order).encode(), timeout=WALL_S)
        except subprocess.TimeoutExpired as err:
            raise VolumeError(TOO_MUCH) from err
    _check(child.returncode, reply)


@contextmanager
def converted(source: Path, limits: Limits, series: int | None = None) -> Iterator[Path]:
    """A temporary NIfTI file of the user's own series: an archive, a multi-frame file, or a folder.

    Raises:
        VolumeError: as `convert`, or there is no room for it.
    """
    with ExitStack() as stack:
        try:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            one = folder / "volume.nii"
            opened = source if source.is_dir() else stack.enter_context(source.open("rb"))
            with one.open("wb", buffering=0) as target:
                convert(opened, target, limits, series)
        except OSError as err:
            raise VolumeError(
                "The DICOM series cannot be opened, or there is no room in the temporary folder."
            ) from err
        yield one


def _check(returncode: int, reply: bytes) -> None:
    """Raises: VolumeError."""
    if returncode in (-signal.SIGXCPU, -signal.SIGKILL, -signal.SIGXFSZ):
        raise VolumeError(TOO_MUCH)
    if returncode != 0:
        raise VolumeError(FAILED)
    answer = json.loads(reply)
    if "refused" in answer:
        raise VolumeError(answer["refused"])
