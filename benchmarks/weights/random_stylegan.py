"""A 3D-StyleGAN of random weights as a model folder, and the arithmetic of its passes."""

from collections.abc import Iterator
from itertools import pairwise
from math import prod
from pathlib import Path

import torch
from safetensors.torch import save_file

from benchmarks.work import Work, conv_gflop
from model_store.card import IntensitySpec, LatentSpec, ModelCard, Provenance, TruncationSpec
from model_store.families.stylegan import ServedStyleGAN
from model_store.integrity import sha256_of
from model_store.sizes.progressive import stage_channels, stage_shape

BASE = 8
"""Edge of the learned constant: 8^3 -> 256^3 in five stages, as issue and paper have it for cubes."""


def write_stylegan(folder: Path, name: str, size: int, width: int, latent: int) -> ModelCard:
    """Writes `folder / name`, generator and encoder, float16 as models are stored; the same weights at every call."""
    stages = (size // BASE).bit_length() - 1
    card = ModelCard(
        name=name,
        family="stylegan",
        title="Random weights, for the benchmark",
        modality="CT",
        shape=(size, size, size),
        axes="SPL",
        spacing_mm=(1.0, 1.0, 1.0),
        latent=LatentSpec(z_dim=latent, w_dim=latent, num_styles=3 * stages, has_style_space=True),
        truncation=TruncationSpec(kind="psi"),
        intensity=IntensitySpec(low=-1024.0, high=600.0, units="HU", network_range=(0.0, 1.0)),
        has_encoder=True,
        network={"base": [BASE] * 3, "channels": stage_channels(width, stages)},
        files={"weights.safetensors": ""},
        provenance=Provenance(origin="trained", notes="random weights"),
    )
    torch.manual_seed(0)
    model = ServedStyleGAN(card)
    for conv in model.synthesis.convolutions():
        conv.noise_scale.data.fill_(0.1)
    target = folder / name
    target.mkdir(parents=True)
    path = target / "weights.safetensors"
    save_file({key: value.half().contiguous() for key, value in model.state_dict().items()}, path)
    card = card.model_copy(update={"files": {path.name: sha256_of(path)}})
    (target / "card.json").write_text(card.model_dump_json(indent=2))
    return card


def stylegan_work(card: ModelCard) -> Work:
    """Table A.3 and the encoder of section 3.5, folded as ours is; the dense layers on latents left out."""
    return Work(sum(_generator(card, 27)), sum(_generator(card, 8)), sum(_encoder(card)) if card.has_encoder else 0.0)


def _generator(card: ModelCard, upsampling_taps: int) -> Iterator[float]:
    for stage, (before, after) in enumerate(_channels(card)):
        low, high = (prod(stage_shape(card.network["base"], stage + more)) for more in (0, 1))
        yield conv_gflop(before, after, 27, low)
        yield conv_gflop(after, after, upsampling_taps, high)
        yield conv_gflop(after, after, 27, high)
    yield conv_gflop(card.network["channels"][-1], 1, 27, prod(card.shape))


def _encoder(card: ModelCard) -> Iterator[float]:
    """The downsampling convolutions have 4^3 taps per voxel that they make."""
    yield conv_gflop(1, card.network["channels"][-1], 27, prod(card.shape))
    for stage, (before, after) in enumerate(_channels(card)):
        low, high = (prod(stage_shape(card.network["base"], stage + more)) for more in (0, 1))
        yield conv_gflop(after, after, 27, high)
        yield conv_gflop(after, before, 64, low)


def _channels(card: ModelCard) -> Iterator[tuple[int, int]]:
    """What enters and what leaves each stage."""
    channels = card.network["channels"]
    return pairwise([channels[0], *channels])
