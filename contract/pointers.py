"""From pydantic's account of an error to the user's: a JSON pointer into the body and a sentence, never the value."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

MAX_ERRORS = 20
"""A vector of a thousand wrong numbers needs no thousand answers."""
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")

Location = tuple[int | str, ...]


def located(err: ValidationError, document: Any) -> list[tuple[str, str]]:
    """(JSON pointer, what is wrong there) of every error of a document that did not validate; the first few."""
    found: dict[tuple[str, str], None] = {}
    for error in err.errors(include_input=False, include_url=False):
        path = _path(error["loc"], document, is_absent=error["type"] == "missing")
        found[pointer(_sayable(path, error)), described(error)] = None
    return list(found)[:MAX_ERRORS]


def parameters(errors: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """The same of a request's query and header parameters: pointers such as /query/limit."""
    return [(pointer(_sayable(error["loc"][:2], error)), described(error)) for error in errors[:MAX_ERRORS]]


def setting(err: ValidationError) -> str:
    """The first setting that does not make sense, by the name of its variable, and why."""
    first = err.errors(include_input=False, include_url=False)[0]
    return f"VOXELSMITH_{'_'.join(str(part) for part in first['loc']).upper()}: {described(first)}"


def pointer(path: Sequence[int | str]) -> str:
    """RFC 6901."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def described(error: Mapping[str, Any]) -> str:
    """pydantic's message, where it does not quote the input."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "union_tag_invalid":
        return f"must be one of {context['expected_tags']}"
    if kind == "union_tag_not_found":
        return f"must be an object that has {context['discriminator']}"
    if kind == "extra_forbidden":
        return "is not a field of this request"
    if kind == "missing":
        return "is missing"
    if kind == "string_pattern_mismatch":
        return "has characters or a length that are not allowed here"
    return str(error["msg"]).removeprefix("Value error, ")


def _sayable(path: Location, error: Mapping[str, Any]) -> Location:
    """A path without the name of an unknown field where that name is more than a word: it is the client's own text."""
    is_odd = error["type"] == "extra_forbidden" and path and not _PLAIN_KEY.fullmatch(str(path[-1]))
    return path[:-1] if is_odd else path


def _path(location: Location, document: Any, is_absent: bool) -> Location:
    """pydantic's location without what is not in the document: tags of unions and names of validators."""
    for end in range(len(location), 0, -1):
        path = _descend(location[:end], document, is_absent and end == len(location))
        if path is not None:
            return path
    return ()


def _descend(location: Location, document: Any, is_absent: bool) -> Location | None:
    """The parts of a location that lead through the document, the last of them always; None where it does not fit.

    A tag may have the name of a field beside it ("job" of {"job": ..., "index": ...}), so both readings are tried.
    """
    head, rest = location[0], location[1:]
    is_inside = (isinstance(document, dict) and head in document) or (
        isinstance(document, list) and isinstance(head, int) and head < len(document)
    )
    if not rest:
        return (head,) if is_inside or (is_absent and isinstance(document, dict)) else None
    inner = _descend(rest, document[head], is_absent) if is_inside else None
    return (head, *inner) if inner is not None else _descend(rest, document, is_absent)
