"""Rows and columns as lines of text: as wide as they want to be, or within a terminal by wrapping words.

No word is ever cut: a file name or an id can be copied from where it stands.
"""

import textwrap
from collections.abc import Iterator, Sequence
from itertools import zip_longest

from rich.cells import cell_len

_GAP = "  "
_LEAST_LAST = 24


def laid_out(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int | None = None) -> Iterator[str]:
    """The header's line, then those of the rows. `width`: of the terminal, in columns; None: as wide as need be."""
    lines = [columns, *rows]
    widths = [max(map(cell_len, cells)) for cells in zip(*lines, strict=True)]
    if width is not None:
        least = [_longest_word(cells) for cells in zip(*lines, strict=True)]
        least[-1] = min(least[-1], _LEAST_LAST)  # nothing stands behind what sticks out of the last column
        widths = _narrowed(widths, least, width)
    for cells in lines:
        wrapped = [_wrapped(cell, room) for cell, room in zip(cells, widths, strict=True)]
        for parts in zip_longest(*wrapped, fillvalue=""):
            yield _GAP.join(
                part + " " * (room - cell_len(part)) for part, room in zip(parts, widths, strict=True)
            ).rstrip()


def _narrowed(widths: Sequence[int], least: Sequence[int], width: int) -> list[int]:
    """The widths, the widest that can give way made smaller until the row fits or no column can."""
    widths = list(widths)
    excess = sum(widths) + len(_GAP) * (len(widths) - 1) - width
    while excess > 0:
        spare, k = max((widths[k] if widths[k] > least[k] else 0, k) for k in range(len(widths)))
        if not spare:
            break
        widths[k] -= 1
        excess -= 1
    return widths


def _longest_word(cells: Sequence[str]) -> int:
    return max((cell_len(word) for cell in cells for word in cell.split()), default=0)


def _wrapped(cell: str, width: int) -> list[str]:
    if cell_len(cell) <= width:
        return [cell]
    return textwrap.wrap(cell, max(1, width), break_long_words=False, break_on_hyphens=False)
