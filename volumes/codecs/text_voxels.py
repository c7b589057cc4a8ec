"""Voxels that are written out: as decimal numbers or as hexadecimal digits."""

import binascii
import string
from typing import BinaryIO

import numpy as np

from volumes.reader_limits import Codec
from volumes.stream import SHORT, InflatingStream, PlainStream, Stream, check_trailing
from volumes.volume import VolumeError

TEXT_CHUNK_BYTES = 1 << 16
LONGEST_NUMBER = 64
BLANKS = string.whitespace.encode() + b","
TO_BLANK = bytes.maketrans(BLANKS, b" " * len(BLANKS))
OF_NUMBERS = b" +-." + string.digits.encode() + b"eEnNaAiIfFtTyY"
"""In numbers, "nan" and "infinity"."""


class TextStream:
    """Decimal numbers parted by blanks or commas, as the bytes of a type."""

    def __init__(self, file: BinaryIO, dtype: "np.dtype[np.generic]") -> None:
        self._file, self._dtype = file, dtype
        self._ready, self._begun = bytearray(), b""

    def take(self, size: int) -> bytes:
        while len(self._ready) < size:
            self._ready += self._values(self._next_words()).tobytes()
        data = bytes(self._ready[:size])
        del self._ready[:size]
        return data

    def finish(self) -> None:
        check_trailing(self._file)

    def _next_words(self) -> list[bytes]:
        """The whole words of the next piece; one that is cut waits for its rest."""
        piece = self._file.read(TEXT_CHUNK_BYTES)
        text = self._begun + piece.translate(TO_BLANK)
        if text.translate(None, OF_NUMBERS):
            raise VolumeError("The voxels should be written in decimal numbers, and there are other signs among them.")
        whole, self._begun = text, b""
        if piece:
            whole, _, self._begun = text.rpartition(b" ")
        words = whole.split()
        if not piece and not words:
            raise VolumeError(SHORT)
        if max(map(len, (*words, self._begun))) > LONGEST_NUMBER:
            raise VolumeError("A voxel's number has too many digits.")
        return words

    def _values(self, words: list[bytes]) -> "np.ndarray[tuple[int], np.dtype[np.generic]]":
        try:
            if self._dtype.kind == "f":
                with np.errstate(over="ignore"):
                    return np.array([float(word) for word in words], np.float64).astype(self._dtype)
            return np.array([int(word) for word in words], self._dtype)
        except (ValueError, OverflowError) as err:
            raise VolumeError("A voxel's number is not one of the type that the header names.") from err


class HexStream:
    """Two digits for each byte; blanks anywhere."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._ready, self._begun = bytearray(), b""

    def take(self, size: int) -> bytes:
        while len(self._ready) < size:
            piece = self._file.read(TEXT_CHUNK_BYTES)
            if not piece:
                raise VolumeError(SHORT)
            digits = self._begun + piece.translate(None, BLANKS)
            whole = len(digits) & ~1
            try:
                self._ready += binascii.unhexlify(digits[:whole])
            except binascii.Error as err:
                raise VolumeError("The voxels should be hexadecimal digits, and there are other signs.") from err
            self._begun = digits[whole:]
        data = bytes(self._ready[:size])
        del self._ready[:size]
        return data

    def finish(self) -> None:
        check_trailing(self._file)


def voxel_stream(file: BinaryIO, codec: Codec, dtype: "np.dtype[np.generic]", size: int | None = None) -> Stream:
    """The stream over a file standing at the first packed byte; `size` is that of the packed data where it is told."""
    if codec == "text":
        return TextStream(file, dtype)
    if codec == "hex":
        return HexStream(file)
    return PlainStream(file) if codec == "raw" else InflatingStream(file, codec == "gzip", size)
