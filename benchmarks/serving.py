"""A process that serves: the whole stack on a data folder, for as long as its standard input is open."""

import json
import os
import sys
from pathlib import Path

from benchmarks.children import answer
from jobs.settings import Settings
from voxelsmith.local import Stack


def serve(data: str, models: str, device: str, precision: str, threads: int) -> dict[str, str]:
    """Stands for `voxelsmith serve` with one worker."""
    asked = {"models_url": models, "port": 0, "device": device, "precision": precision, "threads": threads}
    with Stack(Path(data), Settings.model_validate(asked)) as stack:
        sys.stdout.write(json.dumps({"url": stack.url}) + "\n")
        sys.stdout.flush()
        while os.read(0, 4096):
            continue
    return {}


if __name__ == "__main__":
    answer(serve)
