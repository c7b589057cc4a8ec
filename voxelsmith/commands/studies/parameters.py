"""voxelsmith study parameters: the papers' counts, beside those of the networks here."""

from dataclasses import asdict
from typing import Any

from voxelsmith.commands import options as o
from voxelsmith.commands.told.report import print_json, print_table
from voxelsmith.extras import load


def parameters(as_json: o.Json = False) -> None:
    """Parameters in millions: HA-GAN's table VII, Split&Shuffle-GAN's tables III and VI. Seconds, and no data."""
    study: Any = load("evaluation.studies.parameters", "worker")
    found = [asdict(row) for row in study.rows()]
    if as_json:
        print_json(found)
    else:
        print_table(["paper", "table", "what", "ours", "theirs"], [list(row.values()) for row in found])
