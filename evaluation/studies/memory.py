"""Tables VII and IX of HA-GAN's paper: memory against the volume's edge, and against the size of sub-volumes.

The paper's megabytes are those of a GPU in training; what a processor holds has the same parts, networks and what
passes leave for gradients, beside other scratch space. A table's shape, not its numbers.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from evaluation.studies.markdown import markdown

MIB = 2**20
SIZES = {32: 2573, 64: 2665, 128: 3167, 256: 5961}
"""Table VII: MB by edge, with sub-volumes of an eighth."""
SHARES = {8: 5961, 4: 10689, 2: 13185}
"""Table IX: MB by the number of sub-volumes that a volume of 256^3 is cut into."""

USUAL = max(SHARES)
HEAD = ("edge", "sub-volume", "parameters", "counted MiB", "times", "measured MiB", "beyond the libraries", "times",
        "seconds", "paper MB", "times")  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One process."""

    what: Literal["train", "generate"]
    size: int
    slabs: int
    """Sub-volumes that a volume is cut into."""
    parameters: int
    """Of the networks that the process holds."""
    counted_bytes: int | None
    """Of an iteration's tensors at its height, counted without values; None where a volume is made."""
    began_bytes: int | None
    """That the process held before it had networks: the libraries. None where it was only counted."""
    peak_bytes: int | None
    """The most that it held, on CUDA of the device's memory."""
    seconds: float | None
    """Of the last iteration, or volume."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"paper_mb": self.paper_mb}

    @property
    def paper_mb(self) -> int | None:
        if self.what != "train":
            return None
        return SIZES.get(self.size) if self.slabs == USUAL else SHARES[self.slabs] if self.size == 256 else None


def table(rows: Iterable[Row]) -> str:
    """Markdown, two tables in MiB beside the paper's MB: by edge, and by sub-volumes at edges that have several."""
    rows = list(rows)
    usual = [row for row in rows if row.slabs == USUAL]
    several = {row.size for row in rows if row.slabs != USUAL}
    shared = [row for size in sorted(several) for row in rows if row.what == "train" and row.size == size]
    by_edge = [_line(row, next(one for one in usual if one.what == row.what)) for row in usual]
    by_share = [_line(row, next(one for one in shared if one.size == row.size)) for row in shared]
    return markdown(("table VII", *HEAD), by_edge) + "\n" + markdown(("table IX", *HEAD), by_share)


def _line(row: Row, first: Row) -> tuple[str, ...]:
    """`first`: what its multiples are of."""
    return (
        row.what, f"{row.size}^3", f"1/{row.slabs}", f"{row.parameters / 1e6:.1f}M",
        _mib(row.counted_bytes), _times(row.counted_bytes, first.counted_bytes),
        _mib(row.peak_bytes), _mib(_own(row)), _times(_own(row), _own(first)),
        "" if row.seconds is None else f"{row.seconds:.2g}",
        "" if row.paper_mb is None else str(row.paper_mb), _times(row.paper_mb, first.paper_mb),
    )  # fmt: skip


def _own(row: Row) -> int | None:
    return None if row.peak_bytes is None or row.began_bytes is None else row.peak_bytes - row.began_bytes


def _mib(size: int | None) -> str:
    return "" if size is None else f"{size / MIB:.0f}"


def _times(size: int | None, first: int | None) -> str:
    return "" if size is None or not first else f"{size / first:.2f}"
