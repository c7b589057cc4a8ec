"""VolumeDataset: a data set of `voxelsmith dataset` for torch and MONAI (docs/datasets.md)."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from volumes.files import read

Item = dict[str, Any]


class VolumeDataset(Dataset[Item]):
    """The volumes of a finished data set, in order, whatever its layout.

    `entries` are what the manifest says of each, with the file's path as `image`: what monai.data's data sets take.
    """

    def __init__(self, folder: str | Path, transform: Callable[[Item], Any] | None = None) -> None:
        """`transform` gets each item, and what it returns is the item.

        Raises: FileNotFoundError, of a folder without manifest.json: there is no data set, or it is not finished.
        """
        root = Path(folder)
        manifest = json.loads((root / "manifest.json").read_bytes())
        self.classes: list[str] = list(dict.fromkeys(manifest["classes"]))
        self.transform = transform
        self.entries: list[Item] = [self._entry(root, row) for row in manifest["volumes"]]

    def _entry(self, root: Path, row: Item) -> Item:
        facts = {name: value for name, value in row.items() if value is not None and name != "made_with"}
        label = {} if row["class"] is None else {"class_index": self.classes.index(row["class"])}
        return {"image": str(root / row["file"]), **facts, **label}

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> Any:
        """An entry whose `image` is float32 (1, X, Y, Z) in RAS order and stored units, with its `affine` (4, 4)."""
        entry = self.entries[index]
        volume = read(Path(entry["image"]))
        image = torch.from_numpy(np.ascontiguousarray(volume.array, dtype=np.float32))[None]
        item = entry | {"image": image, "affine": torch.from_numpy(np.asarray(volume.affine, dtype=np.float64).copy())}
        return item if self.transform is None else self.transform(item)
