"""A HA-GAN of random weights as a model folder."""

from pathlib import Path

import torch
from safetensors.torch import save_file

from model_store.card import IntensitySpec, LatentSpec, ModelCard, Provenance
from model_store.integrity import sha256_of
from model_store.networks.hagan import HAGANEncoder, HAGANGenerator


def write_hagan(folder: Path, name: str, size: int, width: int, latent: int) -> ModelCard:
    """Writes `folder / name`, generator and encoder, float16 as models are stored; the same weights at every call."""
    torch.manual_seed(0)
    generator = HAGANGenerator(size, width, latent)
    # The default start gives volumes near 0; a wider last layer makes them fill [-1, 1].
    generator.high.conv2.weight.data.mul_(6)
    tensors = {f"generator.{key}": value for key, value in generator.state_dict().items()}
    tensors |= {f"encoder.{key}": value for key, value in HAGANEncoder(size, width, latent).state_dict().items()}
    target = folder / name
    target.mkdir(parents=True)
    path = target / "weights.safetensors"
    save_file({key: value.half().contiguous() for key, value in tensors.items()}, path)
    card = ModelCard(
        name=name,
        family="hagan",
        title="Random weights, for the benchmark",
        modality="CT",
        shape=(size, size, size),
        axes="SPL",
        spacing_mm=(1.0, 1.0, 1.0),
        latent=LatentSpec(z_dim=latent, w_dim=latent),
        intensity=IntensitySpec(low=-1024.0, high=600.0, units="HU"),
        has_encoder=True,
        network={"width": width},
        files={path.name: sha256_of(path)},
        provenance=Provenance(origin="trained", notes="random weights"),
    )
    (target / "card.json").write_text(card.model_dump_json(indent=2))
    return card
