"""From trained networks to a model folder that load.py reads: card.json + weights.safetensors."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from model_store.card import ModelCard


def export(folder: Path, card: ModelCard, networks: Mapping[str, nn.Module], half: bool = False) -> ModelCard:
    """Write the model; the folder appears whole or not at all. Returns the card with the weights' digest.

    Args:
        networks: by the prefix of their keys in the file: "generator", "encoder" where the card says has_encoder, ...
        half: store float16, half the size; values are read back into the precision that is served.
    """
    dtype = torch.float16 if half else torch.float32
    tensors: dict[str, Tensor] = {}
    for prefix, network in networks.items():
        for key, value in network.state_dict().items():
            tensors[f"{prefix}.{key}"] = value.detach().to("cpu", dtype).contiguous()
    return export_tensors(folder, card, tensors)


def export_tensors(folder: Path, card: ModelCard, tensors: dict[str, Tensor]) -> ModelCard:
    """Write the model from the tensors of its weights file."""
    folder.mkdir(parents=True, exist_ok=True)
    weights, partial = folder / "weights.safetensors", folder / ".weights.partial"
    save_file(tensors, partial)
    digest = hashlib.sha256(partial.read_bytes()).hexdigest()
    card = card.model_copy(update={"files": {weights.name: digest}})
    (folder / ".card.partial").write_text(card.model_dump_json(indent=2) + "\n")
    partial.chmod(0o644)
    partial.replace(weights)
    (folder / ".card.partial").replace(folder / "card.json")
    return card
