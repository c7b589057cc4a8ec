"""What a device computes, and what a precision is worth on it."""

from collections.abc import Iterator

import torch

from model_store.load import Precision


def kind_of(device: torch.device) -> str:
    """What two devices must share for the same network to give the same bytes on both."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, CUDA {torch.version.cuda}"
    return f"{torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads"


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
