"""Counts of what happened to jobs, kept by the record's scripts in the hash <prefix>:counts: none dies with a process.

A field is a name and its labels, "finished|generate|brain|succeeded". A histogram has a field for each bucket,
"wait|#3" (the third bound's; one more for what is above all), and the sum of its seconds as microseconds, "wait|sum".
"""

from collections import defaultdict
from collections.abc import Mapping
from itertools import accumulate

BOUNDS_S = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
"""Upper bounds of every histogram's buckets but the last."""
STAGES = ("load", "prepare", "encode", "refine", "forward", "resample", "measure", "fit", "write", "store")
"""What a job's seconds are counted for; `store` is part of what happens beside the others."""

Labels = tuple[str, ...]


def bounds_in_lua() -> str:
    """For the scripts: the line that defines the buckets."""
    return f"local bounds = {{{', '.join(map(str, BOUNDS_S))}}}\n"


class Counts:
    """What a read of the hash gave."""

    def __init__(self, fields: Mapping[bytes, bytes]) -> None:
        self._counts: dict[str, dict[Labels, int]] = defaultdict(dict)
        for field, value in fields.items():
            name, *labels = field.decode().split("|")
            self._counts[name][tuple(labels)] = int(value)

    def of(self, name: str) -> dict[Labels, int]:
        """Counts by their labels."""
        return dict(self._counts.get(name, {}))

    def histogram(self, name: str) -> dict[Labels, tuple[list[int], float]]:
        """Of each combination of labels: how many were at most each bound, the last being infinity; and their sum in
        seconds."""
        parts: dict[Labels, dict[str, int]] = defaultdict(dict)
        for (*labels, part), count in self.of(name).items():
            parts[tuple(labels)][part] = count
        places = [f"#{place}" for place in range(1, len(BOUNDS_S) + 2)]
        return {
            labels: (list(accumulate(found.get(place, 0) for place in places)), found.get("sum", 0) / 1e6)
            for labels, found in parts.items()
        }
