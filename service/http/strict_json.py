"""JSON as the contract takes it: UTF-8, one value, no NaN, no key twice, no lone surrogates, not deep."""

import json
import math
import re
import threading
from codecs import BOM_UTF8
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from contract.errors import InvalidRequest, TooManyTransfers
from contract.pointers import located

MAX_DEPTH = 16
MAX_STRINGS = 32_768
"""Names and values. A direction's 4,096 samples have five each."""
MAX_BRACKETS = 32_768
"""Objects and lists."""
MAX_NUMBERS = 2**20
MAX_KEYS = 64
"""Of one object: no request has as many fields."""
MUCH_BYTES = 2**19
PATIENCE_S = 5.0
_TURNS = threading.BoundedSemaphore(2)
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
"""A string, or what is left of the text where it does not end: never a second try from a later quote."""
_NOT_A_BRACKET = bytes(set(range(256)) - set(b"[]{}"))
_BRACES_TO_BRACKETS = bytes.maketrans(b"{}", b"[]")

Parsed = TypeVar("Parsed")


class _RefusedError(ValueError):
    """Well-formed by the grammar, refused by the contract. The text is for the user."""


def parse(shape: type[Parsed] | TypeAdapter[Parsed], body: bytes) -> Parsed:
    """The request in a body.

    Raises:
        InvalidRequest: with a JSON pointer for each place that is wrong.
        TooManyTransfers: too many large ones are read at once.
    """
    with _turn(len(body)):
        return _parsed(shape, body)


@contextmanager
def _turn(size_bytes: int) -> Iterator[None]:
    """A body of megabytes takes some forty times its length while it is read; few are. Raises: TooManyTransfers."""
    if size_bytes <= MUCH_BYTES:
        yield
        return
    if not _TURNS.acquire(timeout=PATIENCE_S):
        raise TooManyTransfers("Too many large requests are read; come back later.")
    try:
        yield
    finally:
        _TURNS.release()


def _parsed(shape: type[Parsed] | TypeAdapter[Parsed], body: bytes) -> Parsed:
    """As `parse`, at once."""
    body = body.removeprefix(BOM_UTF8)  # which some editors write, and RFC 8259 lets a reader pass over
    document = read(body)
    try:
        # pydantic reads the bytes itself: its strict rules for JSON differ from those for Python objects.
        if isinstance(shape, TypeAdapter):
            return shape.validate_json(body)
        assert issubclass(shape, BaseModel)
        return shape.model_validate_json(body)
    except ValidationError as err:
        raise InvalidRequest("The request is not valid.", located(err, document)) from err


def read(body: bytes) -> Any:
    """The value of a JSON text. Raises: InvalidRequest."""
    try:
        text = body.decode("utf-8")
        _check_shape(body)
        document = json.loads(
            text, parse_constant=_refuse_constant, parse_float=_finite, object_pairs_hook=_without_duplicates
        )
        if b"\\u" in body:  # a lone surrogate can be written as an escape, but not in UTF-8
            json.dumps(document, ensure_ascii=False).encode("utf-8")
    except UnicodeError as err:
        raise _invalid("it must be UTF-8 without lone surrogates") from err
    except json.JSONDecodeError as err:
        raise _invalid(f"syntax error in line {err.lineno}, column {err.colno}") from err
    except _RefusedError as err:
        raise _invalid(str(err)) from err
    except ValueError as err:  # an integer of thousands of digits
        raise _invalid("a number in it is too long") from err
    return document


def _invalid(reason: str) -> InvalidRequest:
    return InvalidRequest("The body is not the JSON that this service reads.", [("", reason)])


def _check_shape(body: bytes) -> None:
    """Refuses what would take many times its length in memory, or be too deep, before anything is made of it.

    Peels one level of brackets per pass: all are gone after MAX_DEPTH passes, or they are too deep or unbalanced. A
    parser that recurses is what deep nesting is aimed at; one that tells every error, what a million parts are.
    Raises: _RefusedError.
    """
    if body.count(b'"') > 4 * MAX_STRINGS:
        raise _RefusedError("it has too many parts")
    bare, strings = _STRING.subn(b"", body)
    brackets = bare.translate(_BRACES_TO_BRACKETS, _NOT_A_BRACKET)
    if strings > MAX_STRINGS or len(brackets) > 2 * MAX_BRACKETS or bare.count(b",") > MAX_NUMBERS:
        raise _RefusedError("it has too many parts")
    for _ in range(MAX_DEPTH):
        brackets = brackets.replace(b"[]", b"")
    if brackets:
        raise _RefusedError(f"its brackets do not match, or nest deeper than {MAX_DEPTH} levels")


def _refuse_constant(_name: str) -> Any:
    raise _RefusedError("NaN and Infinity are no JSON numbers")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise _RefusedError("a number in it is too large")
    return number


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > MAX_KEYS:
        raise _RefusedError(f"an object in it has more than {MAX_KEYS} keys")
    document = dict(pairs)
    if len(document) != len(pairs):
        raise _RefusedError("an object in it has the same key twice")
    return document
