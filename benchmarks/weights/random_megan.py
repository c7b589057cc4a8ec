"""A MEGAN of random weights, as `load` reads it."""

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file

from model_store.card import WEIGHTS, IntensitySpec, Provenance, TranslatorCard
from model_store.integrity import sha256_of
from model_store.networks.cascade import Cascade
from model_store.sizes.megan import MEGANSizes, ScaleSizes


def write_megan(folder: Path, name: str, widths: Sequence[int], blocks: Sequence[int], lr_size: int) -> TranslatorCard:
    """Writes `folder / name`: LR, then one HR network per further width."""
    torch.manual_seed(0)
    lr, *hr = (ScaleSizes(width=width, blocks=count) for width, count in zip(widths, blocks, strict=True))
    sizes = MEGANSizes(lr=lr, hr=hr, lr_size=lr_size)
    cascade = Cascade.build(sizes)
    target = folder / name
    target.mkdir(parents=True, exist_ok=True)
    save_file({f"cascade.{key}": value.contiguous() for key, value in cascade.state_dict().items()}, target / WEIGHTS)
    card = TranslatorCard(
        name=name,
        family="megan",
        title="Random weights, for the benchmark",
        modality="MR",
        axes="RAS",
        intensity=IntensitySpec(low=0.0, high=255.0, units="a.u."),
        target_domain="noise",
        grid="cube",
        network=sizes.model_dump(),
        provenance=Provenance(origin="trained", notes="random weights"),
        files={WEIGHTS: sha256_of(target / WEIGHTS)},
    )
    (target / "card.json").write_text(card.model_dump_json(indent=2))
    return card
