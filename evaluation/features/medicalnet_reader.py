"""The jailed half of the MedicalNet loader. Its files are of torch 1.0, a format that the importers' own reader does
not take, so torch's restricted reader opens them, in the child alone."""

from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from model_store.importers.jail import ImportRefused

HEAD = "conv_seg"
"""Where the segmentation head's tensors begin, which no features need."""


def read(request: dict[str, Any]) -> dict[str, Any]:
    """`file`'s tensors, finite and without the `module.` of training on several devices, to `out`.

    Raises:
        ImportRefused: no PyTorch file of tensors, or values that are not finite.
    """
    try:
        found = torch.load(request["file"], map_location="cpu", weights_only=True)
    except (RuntimeError, ValueError, EOFError, KeyError, TypeError, AttributeError) as err:
        raise ImportRefused("it is no PyTorch file of tensors.") from err
    inside = found.get("state_dict", found) if isinstance(found, dict) else {}
    tensors = {
        str(key).removeprefix("module."): value.clone().contiguous()
        for key, value in inside.items()
        if isinstance(value, Tensor)
    }
    kept = {key: value for key, value in tensors.items() if not key.startswith(HEAD)}
    if not all(bool(torch.isfinite(value).all()) for value in kept.values()):
        raise ImportRefused("it has values that are not finite.")
    save_file(kept, request["out"])
    return {"tensors": len(kept)}
