"""Bytes of an uploaded file in bounded memory: plain, gzip or zlib, to the very end and never past what is asked."""

from typing import BinaryIO, Protocol

from isal import igzip_lib

from volumes.reader_limits import Codec
from volumes.volume import VolumeError

CHUNK_BYTES = 1 << 18
TRUNCATED = "The file ends before its last voxel: it is truncated."
TRAILING = "The file has bytes after its last voxel."
DAMAGED = "The file is damaged: its compressed data does not decompress or fails its checksum."


class Stream(Protocol):
    """A source of decompressed bytes."""

    def take(self, size: int) -> bytes:
        """Exactly `size` bytes. Raises VolumeError where there are fewer."""

    def finish(self) -> None:
        """Raises VolumeError unless everything was taken, the checksum holds and nothing follows."""


class PlainStream:
    """The bytes of the file from where it stands."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def take(self, size: int) -> bytes:
        data = self._file.read(size)
        if len(data) != size:
            raise VolumeError(TRUNCATED)
        return data

    def finish(self) -> None:
        if self._file.read(1):
            raise VolumeError(TRAILING)


class InflatingStream:
    """One gzip or zlib member from where the file stands. A second member or any byte after it is refused."""

    def __init__(self, file: BinaryIO, codec: Codec) -> None:
        self._file = file
        self._member = igzip_lib.IgzipDecompressor(
            flag=igzip_lib.DECOMP_GZIP if codec == "gzip" else igzip_lib.DECOMP_ZLIB
        )

    def _inflate(self, most: int) -> bytes:
        """Up to `most` bytes more; empty only at the end of the member, whose checksum then holds."""
        while not self._member.eof:
            packed = self._file.read(CHUNK_BYTES) if self._member.needs_input else b""
            if self._member.needs_input and not packed:
                raise VolumeError(TRUNCATED)
            try:
                data: bytes = self._member.decompress(packed, most)
            except igzip_lib.IsalError as err:  # type: ignore[misc]
                raise VolumeError(DAMAGED) from err
            if data:
                return data
        return b""

    def take(self, size: int) -> bytes:
        parts = []
        while size:
            data = self._inflate(size)
            if not data:
                raise VolumeError(TRUNCATED)
            parts.append(data)
            size -= len(data)
        return b"".join(parts)

    def finish(self) -> None:
        if self._inflate(1) or self._member.unused_data or self._file.read(1):
            raise VolumeError(TRAILING)


def open_stream(file: BinaryIO, codec: Codec) -> Stream:
    """The stream for a codec over a file standing at the first packed byte."""
    return PlainStream(file) if codec == "raw" else InflatingStream(file, codec)
