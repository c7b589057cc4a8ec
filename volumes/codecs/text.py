"""Text headers of uploaded files: their lines in bounded memory, and numbers read by the letter."""

import re
from collections.abc import Callable, Iterable
from typing import BinaryIO

from volumes.reader_limits import MAX_FIELD_CHARS, MAX_HEADER_BYTES, MAX_HEADER_LINES, MAX_SCALE
from volumes.volume import VolumeError

NUMBER = re.compile(r"[-+]?(\d{1,32}\.?\d{0,32}|\.\d{1,32})([eE][-+]?\d{1,3})?", re.ASCII)
INTEGER = re.compile(r"\d{1,9}", re.ASCII)


def header_lines(file: BinaryIO, is_last: Callable[[str], bool]) -> list[str]:
    """The lines up to the last one of the header, whichever way they end, or those of the whole file. The mark of UTF-8
    is no part of them.

    Raises:
        VolumeError: the header is larger than what is read of one.
    """
    lines: list[str] = []
    left = MAX_HEADER_BYTES
    while left > 0 and len(lines) < MAX_HEADER_LINES:
        line = file.readline(left)
        left -= len(line)
        if not line:
            return lines
        lines.append(line.decode("utf-8-sig", "replace").rstrip("\r\n"))
        if is_last(lines[-1]):
            return lines
    raise VolumeError(
        f"The header is longer than the {MAX_HEADER_BYTES >> 20} MiB and {MAX_HEADER_LINES} lines that are read."
    )


def words_of(text: str) -> list[str]:
    """The words of a field. Raises: VolumeError, where it is longer than any that means something."""
    if len(text) > MAX_FIELD_CHARS:
        raise VolumeError("A header field is too long.")
    return text.split()


def numbers(text: str, count: int) -> list[float]:
    """Exactly `count` numbers of sane size parted by blanks.

    Raises:
        VolumeError: otherwise.
    """
    words = words_of(text)
    if len(words) != count or not all(NUMBER.fullmatch(word) for word in words):
        raise VolumeError("A header field does not hold the numbers that its meaning needs.")
    values = [float(word) for word in words]
    if not all(abs(value) <= MAX_SCALE for value in values):
        raise VolumeError("A number in the header is out of range.")
    return values


def integers(text: str) -> list[int]:
    """Whole numbers parted by blanks.

    Raises:
        VolumeError: otherwise.
    """
    words = words_of(text)
    if not words or not all(INTEGER.fullmatch(word) for word in words):
        raise VolumeError("A header field does not hold the whole numbers that its meaning needs.")
    return [int(word) for word in words]


def written(values: Iterable[float]) -> str:
    """Numbers as the shortest text that reads back the same."""
    return " ".join(repr(float(value)) for value in values)
