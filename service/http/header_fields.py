"""Header fields of HTTP as values: Prefer (RFC 7240), If-Match, If-None-Match, If-Range and Range (RFC 9110)."""

import re
from collections.abc import Iterable
from typing import NamedTuple, cast, get_args

from contract.state import Priority

MAX_WAIT_S = 60
# Blanks are taken off before a pattern is tried: two runs of them side by side can be divided in as many ways as there
# are blanks, and a pattern that tries them all takes the square of the field's length.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_WORD = re.compile(r'"[^"]*"|[^\s",;]*')
_DIGITS = re.compile(r"\d{0,18}", re.ASCII)
_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')


class Span(NamedTuple):
    """The bytes [start, end) of a file."""

    start: int
    end: int


class UnsatisfiableError(ValueError):
    """A range that is well formed and has no byte of the file in it."""


def word_of(prefer: Iterable[str], name: str) -> str | None:
    """The value of the first preference of that name in the Prefer fields, in lower case."""
    for part in (part for field in prefer for part in field.split(",")):
        token, _, value = (side.strip() for side in part.partition(";")[0].partition("="))
        if token.lower() == name and _TOKEN.fullmatch(token) and _WORD.fullmatch(value):
            return value.strip('"').lower()
    return None


def wait_of(prefer: Iterable[str]) -> int | None:
    """Seconds of the first `wait` in the Prefer fields, at most 60; None where there is none that makes sense.

    A preference that is not understood is ignored (RFC 7240, section 2).
    """
    digits = word_of(prefer, "wait") or ""
    return min(int(digits[:4]), MAX_WAIT_S) if digits.isascii() and digits.isdecimal() else None


def priority_of(prefer: Iterable[str]) -> Priority:
    """The first `priority` in the Prefer fields, if it makes sense."""
    word = word_of(prefer, "priority")
    return cast("Priority", word) if word in get_args(Priority) else "normal"


def names_tag(field: str | None, tag: str) -> bool:
    """Whether an If-None-Match field has the tag, weakly compared."""
    if field is None:
        return False
    return field.strip() == "*" or tag in {found.removeprefix("W/") for found in _TAG.findall(field)}


def accepts_tag(field: str, tag: str) -> bool:
    """Whether an If-Match field has the tag, strongly compared: a weak one is never the same."""
    return field.strip() == "*" or tag in _TAG.findall(field)


def span_of(field: str | None, if_range: str | None, tag: str, size_bytes: int) -> Span | None:
    """What a Range field asks of a file; None for the whole of it.

    A field that is malformed, asks for several ranges, or is conditional on another version counts as absent.

    Raises:
        UnsatisfiableError: nothing of the file lies in the range.
    """
    unit, _, ends = (field or "").partition("=")
    first, dash, last = (side.strip() for side in ends.partition("-"))
    if unit.strip().lower() != "bytes" or not dash or not (_DIGITS.fullmatch(first) and _DIGITS.fullmatch(last)):
        return None
    if not (first or last) or (if_range is not None and if_range.strip() != tag):
        return None
    if not first:
        start, end = max(0, size_bytes - int(last)), size_bytes
    else:
        start, end = int(first), min(int(last) + 1 if last else size_bytes, size_bytes)
        if last and int(last) < start:
            return None
    if start >= end:
        raise UnsatisfiableError
    return Span(start, end)
