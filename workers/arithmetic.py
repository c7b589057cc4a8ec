"""What a precision is worth on this processor."""

from collections.abc import Iterator

import torch

from model_store.load import Precision


def warnings_of(device: str, precision: Precision) -> Iterator[str]:
    """What an operator should know about this precision here, one line each."""
    if precision != "bfloat16":
        return
    if device.startswith("cuda"):
        if not torch.cuda.is_bf16_supported(including_emulation=False):
            yield "this GPU emulates bfloat16; float16 or float32 is faster"
        return
    features = torch.cpu.get_capabilities()
    if not (features.get("avx512_bf16") or features.get("amx_bf16") or features.get("bf16")):
        yield "this processor emulates bfloat16: a volume can take minutes; float32 is faster"
    elif features.get("architecture") == "x86_64" and not features.get("amx_bf16"):
        yield "this processor has no matrix unit for bfloat16: it saves memory here, not time"
