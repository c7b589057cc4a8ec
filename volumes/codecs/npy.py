"""NumPy arrays of volumes (.npy): written alone, as they do not say where they lie."""

from typing import BinaryIO

import numpy as np

from volumes.orientation import reorient
from volumes.reader_limits import Marking
from volumes.volume import Volume


def write(volume: Volume, file: BinaryIO, marking: Marking) -> None:  # noqa: ARG001 -- no room for it
    """Write the array (X, Y, Z), turned to RAS."""
    array = np.ascontiguousarray(reorient(volume).array)
    np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
    file.write(array.data)
