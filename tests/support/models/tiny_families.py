"""A tiny model of each registered family: what gives a new family the conformance tests, and all tests of its kind."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch

from model_store.card import ModelCard
from model_store.sizes.hagan import HAGANSizes
from model_store.sizes.onnx import ONNXSizes
from model_store.sizes.progressive import ProGANSizes, StyleGANSizes
from model_store.sizes.split_shuffle import SplitShuffleSizes
from model_store.sizes.stylegan3d import StyleGAN3DSizes
from tests.support.models.plain_stylegan3d import PlainStyleGAN3D
from tests.support.models.stylegan3d_pickles import generator
from tests.support.models.tiny_models import write_tiny_hagan
from tests.support.models.tiny_onnx import write_onnx
from tests.support.models.tiny_progan import write_progan
from tests.support.models.tiny_split_shuffle import write_split_shuffle
from tests.support.models.tiny_stylegan import write_stylegan
from tests.support.models.tiny_stylegan3d import write_stylegan3d


def _stylegan3d(folder: Path, name: str) -> ModelCard:
    """With the mean style that a training would have kept."""
    variables = generator()
    plain = PlainStyleGAN3D(variables.mapping, variables.synthesis, [1, 3, 3, 3, 1])
    z = torch.randn(4096, 8, generator=torch.Generator().manual_seed(2))
    variables.own["dlatent_avg"] = plain.map(z).mean(0).float().numpy()
    return write_stylegan3d(folder, name, variables)


GENERATORS: Mapping[str, Callable[[Path, str], ModelCard]] = {
    HAGANSizes.family: partial(write_tiny_hagan, shape=(64, 64, 64)),
    ONNXSizes.family: write_onnx,
    ProGANSizes.family: partial(write_progan, base=(1, 3, 2), stages=3),
    SplitShuffleSizes.family: write_split_shuffle,
    StyleGANSizes.family: partial(write_stylegan, base=(1, 3, 2), stages=3),
    StyleGAN3DSizes.family: _stylegan3d,
}
"""By family: writes `folder / name` with all that the family can have, and returns its card."""
