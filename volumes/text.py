"""Numbers in the text headers of uploaded files, read by the letter."""

import re
from collections.abc import Iterable

from volumes.reader_limits import MAX_SCALE
from volumes.volume import VolumeError

NUMBER = re.compile(r"[-+]?(\d{1,32}\.?\d{0,32}|\.\d{1,32})([eE][-+]?\d{1,3})?", re.ASCII)
INTEGER = re.compile(r"\d{1,9}", re.ASCII)


def numbers(text: str, count: int) -> list[float]:
    """Exactly `count` numbers of sane size parted by blanks.

    Raises:
        VolumeError: otherwise.
    """
    words = text.split()
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
    words = text.split()
    if not words or not all(INTEGER.fullmatch(word) for word in words):
        raise VolumeError("A header field does not hold the whole numbers that its meaning needs.")
    return [int(word) for word in words]


def lines_of(header: bytes) -> list[str]:
    """The lines of a text header, whichever way they end."""
    return [line.rstrip("\r") for line in header.decode("utf-8", "replace").split("\n")]


def written(values: Iterable[float]) -> str:
    """Numbers as the shortest text that reads back the same."""
    return " ".join(repr(float(value)) for value in values)
