"""Bytes of an uploaded file in bounded memory: plain, gzip or zlib, to their sound end and never past what is asked."""

import os
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from isal import igzip_lib

from volumes.reader_limits import MAX_MEMBERS, MAX_TRAILING_BYTES
from volumes.volume import VolumeError

CHUNK_BYTES = 1 << 18
FIRST_STEP_BYTES = 1 << 12
"""What a gzip member is given to begin with: what follows a short one is looked at again."""
GZIP_MAGIC = b"\x1f\x8b"
SHORT = "The file ends before the last voxel that its header promises: it is truncated, or its header is wrong."
TRUNCATED = "The file is truncated: its compressed data breaks off."
FEWER = "The compressed data is whole but holds fewer voxels than the header promises."
TRAILING = (
    f"The file goes on for more than {MAX_TRAILING_BYTES >> 20} MiB after its last voxel: "
    "it holds more than one volume, or its header is wrong."
)
DAMAGED = "The file is damaged: its compressed data does not decompress or fails its checksum."


class Stream(Protocol):
    """A source of decompressed bytes."""

    def take(self, size: int) -> bytes:
        """Exactly `size` bytes. Raises VolumeError where there are fewer."""

    def finish(self) -> None:
        """Raises VolumeError unless what was packed is sound to its end and little follows the last voxel."""


def skip(stream: Stream, size: int) -> None:
    """Take bytes and drop them. Raises: VolumeError."""
    while size:
        size -= len(stream.take(min(size, CHUNK_BYTES)))


def check_trailing(file: BinaryIO, unread: int = 0) -> None:
    """Raises VolumeError where more than a little of a file is left."""
    place = file.tell()
    if file.seek(0, os.SEEK_END) - place + unread > MAX_TRAILING_BYTES:
        raise VolumeError(TRAILING)


class PlainStream:
    """The bytes of the file from where it stands."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def take(self, size: int) -> bytes:
        data = self._file.read(size)
        if len(data) != size:
            raise VolumeError(SHORT)
        return data

    def finish(self) -> None:
        check_trailing(self._file)


class InflatingStream:
    """Gzip members (RFC 1952, 2.2) or one zlib stream from where the file stands, or `size` bytes of it."""

    def __init__(self, file: BinaryIO, is_gzip: bool, size: int | None = None) -> None:
        self._file, self._left, self._is_gzip = file, size, is_gzip
        self._packed, self._at, self._members = b"", 0, 0
        self._ahead = b""
        self._begin_member()

    def peek(self, size: int) -> bytes:
        """The first bytes, up to `size` of them, which `take` gives again."""
        while len(self._ahead) < size:
            data = self._inflate(size - len(self._ahead))
            if not data:
                break
            self._ahead += data
        return self._ahead[:size]

    def take(self, size: int) -> bytes:
        parts, self._ahead = [self._ahead[:size]], self._ahead[size:]
        size -= len(parts[0])
        while size:
            data = self._inflate(size)
            if not data:
                raise VolumeError(FEWER)
            parts.append(data)
            size -= len(data)
        return b"".join(parts)

    def finish(self) -> None:
        over = 0
        while data := self._inflate(CHUNK_BYTES):
            over += len(data)
            if over > MAX_TRAILING_BYTES:
                raise VolumeError(TRAILING)
        check_trailing(self._file, len(self._packed) - self._at)

    def _begin_member(self) -> None:
        flag = igzip_lib.DECOMP_GZIP if self._is_gzip else igzip_lib.DECOMP_ZLIB
        self._member, self._step = igzip_lib.IgzipDecompressor(flag=flag), FIRST_STEP_BYTES
        self._members += 1
        if self._members > MAX_MEMBERS:
            raise VolumeError(f"The gzip file has more than the {MAX_MEMBERS} members that are accepted.")

    def _inflate(self, most: int) -> bytes:
        """Up to `most` bytes more; empty only at the end of the last member. Each one's checksum then holds."""
        while not self._member.eof or self._has_another():
            packed = self._next_piece() if self._member.needs_input else b""
            if self._member.needs_input and not packed:
                raise VolumeError(TRUNCATED)
            try:
                data: bytes = self._member.decompress(packed, most)
            except igzip_lib.IsalError as err:  # type: ignore[misc]
                raise VolumeError(DAMAGED) from err
            if self._member.eof:
                self._at -= len(self._member.unused_data)
            if data:
                return data
        return b""

    def _has_another(self) -> bool:
        """Whether a member follows the one that has ended; if so, it is begun."""
        if not self._is_gzip:
            return False
        if len(self._packed) - self._at < len(GZIP_MAGIC):
            self._fill()
        if self._packed[self._at : self._at + len(GZIP_MAGIC)] != GZIP_MAGIC:
            return False
        self._begin_member()
        return True

    def _next_piece(self) -> memoryview:
        """Packed bytes, more each time, as the first ones of a member may be all that it has."""
        if self._at == len(self._packed):
            self._fill()
        piece = memoryview(self._packed)[self._at : self._at + self._step]
        self._at += len(piece)
        self._step = min(2 * self._step, CHUNK_BYTES)
        return piece

    def _fill(self) -> None:
        """What is left in hand, and a chunk of the file behind it."""
        size = CHUNK_BYTES if self._left is None else min(CHUNK_BYTES, self._left)
        chunk = self._file.read(size)
        self._left = None if self._left is None else self._left - len(chunk)
        self._packed, self._at = self._packed[self._at :] + chunk, 0


@dataclass(frozen=True)
class Source:
    """A file from its start, as it is and unpacked where it is gzip."""

    file: BinaryIO
    stream: Stream
    head: bytes
    """The first unpacked bytes; the stream gives them again."""
    is_packed: bool


def opened_source(file: BinaryIO, head_bytes: int) -> Source:
    """The source of a file, with so much of its head. Raises: VolumeError, where it does not unpack."""
    file.seek(0)
    head = file.read(head_bytes)
    file.seek(0)
    if not head.startswith(GZIP_MAGIC):
        return Source(file, PlainStream(file), head, False)
    stream = InflatingStream(file, is_gzip=True)
    return Source(file, stream, stream.peek(head_bytes), True)
