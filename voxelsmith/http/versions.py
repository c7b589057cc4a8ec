"""Which of the two sides is old: every answer of a server says its version, and an error then says what it means."""

import re

_TELLING = frozenset({400, 404, 405, 415, 422})
"""What a side answers that does not know the other's path, field or file."""
_NUMBERS = re.compile(r"(\d{1,6})\.(\d{1,6})")


def who_is_old(own: str, theirs: str | None) -> str | None:
    """One sentence, or None where both sides are of one version, or it cannot be told.

    own: the client's version. theirs: what the server's answer said.
    """
    if theirs is None:
        return "the server does not say its version: it is older than this client, or not Voxelsmith"
    mine, its = _NUMBERS.match(own), _NUMBERS.match(theirs)
    if mine is None or its is None or mine.groups() == its.groups():
        return None
    shown = f"{int(its[1])}.{int(its[2])}"
    if _pair(its) < _pair(mine):
        return f"the server is of version {shown} and older than this client of {own}: update the server"
    return f"this client is of version {own} and older than the server of {shown}: update the client"


def may_tell(status: int) -> bool:
    """Whether an error of this status may come of different versions."""
    return status in _TELLING


def _pair(found: "re.Match[str]") -> tuple[int, int]:
    return int(found[1]), int(found[2])
