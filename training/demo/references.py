"""The features of what the shipped generators were trained on, by which their volumes get a score.

A handful of scans has no neighbours to speak of, and neither model learned from the scans as they are: both saw
them deformed, placed and lit anew. So the rows are such examples, drawn as the training drew them (anatomy.py,
style_anatomy.py), without the way through `prepare`, which would put each in the same place again.

    python -m training.demo.references --data <folder with the sources>
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model_store.card import ModelCard
from model_store.catalogue import SHIPPED, read_card
from model_store.features.attachment import put_reference
from model_store.features.network import features_of
from model_store.features.reference import About, Reference, reference_of
from model_store.features.shipped import shipped_network
from model_store.folder import software_version
from training.demo import anatomy, brain_demo_256, head_style_128, style_anatomy
from training.demo.warm_start import STRIPPED_SHARE
from volumes.orientation import from_network

COUNT = 256
EDGE = 64
"""At which the examples are made, of scans of twice that: features are of 64^3 voxels."""
Examples = Iterator[Tensor]
"""Volumes (A0, A1, A2) in [0, 1]."""


def brain_examples(data: Path, count: int, source: torch.Generator) -> Examples:
    """As `brain-demo-256` saw them, a fifth of them skull-stripped."""
    scans = brain_demo_256.read_scans(data)
    for z in anatomy.draw(count, source, STRIPPED_SHARE):
        yield (scans.of(z, EDGE)[0] + 1) / 2


def style_examples(data: Path, count: int, source: torch.Generator) -> Examples:
    """As `head-style-128` saw them."""
    heads = head_style_128.read_heads(data)
    for attributes in style_anatomy.attributes_of(style_anatomy.draw(count, source)):
        yield heads.of(attributes, EDGE)[0]


EXAMPLES: Mapping[str, Callable[[Path, int, torch.Generator], Examples]] = {
    brain_demo_256.NAME: brain_examples,
    head_style_128.NAME: style_examples,
}


def reference_from(card: ModelCard, examples: Examples) -> Reference:
    """Raises: ValueError, for fewer than eight."""
    network = shipped_network("distortion")
    about = About(
        features=network.name,
        features_sha256=network.sha256,
        model_sha256=card.sha256,
        among="train",
        preparation={"examples": "scans deformed, placed and lit as in the training"},
        software_version=software_version(),
    )
    rows: list[NDArray[np.float32]] = []
    for unit in examples:
        turned = np.ascontiguousarray(from_network(unit.numpy(), card.axes), dtype=np.float32)
        rows.append(features_of(network, torch.from_numpy(turned)[None, None])[0].numpy())
    return reference_of(np.stack(rows).astype(np.float64), about)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.demo.references", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with the sources that the cards name")
    parser.add_argument("--models", type=Path, default=SHIPPED, help="folder of the models")
    parser.add_argument("--count", type=int, default=COUNT, help="rows of each")
    options = parser.parse_args()
    for name, examples in EXAMPLES.items():
        card = read_card(options.models / name)
        assert isinstance(card, ModelCard)
        source = torch.Generator().manual_seed(0)
        put_reference(options.models / name, reference_from(card, examples(options.data, options.count, source)))
        sys.stdout.write(f"{name}: {options.count} rows\n")


if __name__ == "__main__":
    main()
