"""The demo's HA-GAN at the paper's width: the volumes of a trained model at the price of a full-width one.

Volumes of random weights are noise, which hardly packs, so that writing and sending them says little of real ones.
Every channel of the trained network is repeated, and what reads a repeated channel gets its weight divided by the
count: the same function (Net2WiderNet: Chen, Goodfellow and Shlens, ICLR 2016, section 3.2). Repeats stand side by
side, so that GroupNorm's groups keep their mean and variance. The latent axes beyond the trained ones have no effect.
"""

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from model_store.card import LatentSpec, ModelCard
from model_store.catalogue import SHIPPED
from model_store.integrity import sha256_of
from model_store.networks.hagan import HAGANEncoder, HAGANGenerator

SOURCE, SIZE = SHIPPED / "brain-demo-256", 256
DENSE, TO_LATENT = "generator.common.fc1.", "encoder.ground.conv5."
"""The layers that read and write latents."""
START_VOXELS = 4**3
"""Of each channel in the output of the dense layer."""


def write_widened(folder: Path, name: str, width: int, latent: int) -> ModelCard:
    """Writes `folder / name`, 256^3. Raises: ValueError where the demo cannot be repeated up to that width."""
    card = ModelCard.model_validate_json((SOURCE / "card.json").read_text())
    repeats, left = divmod(width, int(card.network["width"]))
    if left or not repeats:
        raise ValueError(f"{width} is no multiple of the demo's width, {card.network['width']}")
    with torch.device("meta"):
        nets = {"generator": HAGANGenerator(SIZE, width, latent), "encoder": HAGANEncoder(SIZE, width, latent)}
    shapes = {f"{part}.{key}": value.shape for part, net in nets.items() for key, value in net.state_dict().items()}
    target = folder / name
    target.mkdir(parents=True)
    path = target / "weights.safetensors"
    trained = load_file(SOURCE / path.name)
    save_file({key: widened(key, value, shapes[key], repeats) for key, value in trained.items()}, path)
    digest = sha256_of(path)
    facts = {"name": name, "title": "The demo at full width", "network": {"width": width}, "files": {path.name: digest}}
    wide = card.model_copy(update={**facts, "latent": LatentSpec(z_dim=latent, w_dim=latent)})
    (target / "card.json").write_text(wide.model_dump_json(indent=2))
    return wide


def widened(key: str, value: Tensor, shape: torch.Size, repeats: int) -> Tensor:
    """One parameter of the trained network in the wide one's shape."""
    if key.startswith(DENSE):
        value = value.reshape(-1, START_VOXELS, *value.shape[1:]).repeat_interleave(repeats, 0).flatten(0, 1)
    elif not key.startswith(TO_LATENT) and value.shape[0] < shape[0]:
        value = value.repeat_interleave(repeats, 0)
    if value.ndim > 1 and not key.startswith(DENSE) and value.shape[1] < shape[1]:
        value = value.repeat_interleave(repeats, 1) / repeats
    wide = value.new_zeros(shape)  # latent axes without effect
    wide[tuple(slice(side) for side in value.shape)] = value
    return wide
