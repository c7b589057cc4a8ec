"""Text of strangers (cards, file names, a server's records) for a terminal or a log, where it does nothing."""

_HARMLESS = frozenset("\n\N{NO-BREAK SPACE}\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}")
"""Not printable by Python's rule, and part of what people write."""


def plain(text: str) -> str:
    """The text with control characters, direction marks and broken halves of characters as their escapes: \\x1b."""
    return "".join(sign if is_plain(sign) else sign.encode("unicode_escape").decode("ascii") for sign in text)


def is_plain(sign: str) -> bool:
    """Whether a character only shows itself."""
    return sign.isprintable() or sign in _HARMLESS
