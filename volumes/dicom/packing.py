"""A zip archive written in one go, one file after another: the same bytes for the same files, and never a step back.

Source: PKWARE's APPNOTE.TXT, 4.3. `zipfile` would go back in its file to fill in sizes, and its deflate is that of the
machine's zlib, whose bytes differ from one to another.
"""

import struct
from typing import BinaryIO

from isal import isal_zlib

LEVEL, RAW_DEFLATE = 1, -15
NEEDED, DEFLATED = 20, 8
FIRST_DAY = 1 << 5 | 1
"""1 January 1980, the first that the format knows."""
LOCAL, CENTRAL, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"


class ArchiveWriter:
    """Files into an archive of fewer than 65,536 files and 4 GiB."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._size = file, 0
        self._directory: list[bytes] = []

    def add(self, name: str, data: bytes) -> None:
        """`name`: ASCII, with slashes between folders."""
        packer = isal_zlib.compressobj(level=LEVEL, wbits=RAW_DEFLATE)
        packed = packer.compress(data) + packer.flush()
        sizes = (isal_zlib.crc32(data), len(packed), len(data), len(name), 0)
        said = struct.pack("<5H3I2H", NEEDED, 0, DEFLATED, 0, FIRST_DAY, *sizes)
        entry = struct.pack("<4sH", CENTRAL, NEEDED) + said + struct.pack("<3H2I", 0, 0, 0, 0, self._size)
        self._directory.append(entry + name.encode("ascii"))
        self._put(LOCAL + said + name.encode("ascii"))
        self._put(packed)

    def close(self) -> None:
        """The directory, which ends the archive; the file stays open."""
        start, count = self._size, len(self._directory)
        for entry in self._directory:
            self._put(entry)
        self._put(struct.pack("<4s4H2IH", END, 0, 0, count, count, self._size - start, start, 0))

    def _put(self, data: bytes) -> None:
        self._file.write(data)
        self._size += len(data)
