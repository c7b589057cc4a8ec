"""Which devices compute bfloat16 by converting to float32 and back."""

import torch

_INSTRUCTIONS = ("avx512_bf16", "amx_bf16", "bf16")
"""As torch names them: of x86 with AVX-512 BF16 or AMX, and of Arm."""


def emulates_bfloat16(device: str) -> bool:
    """Whether bfloat16 is emulated on `device` ("cpu", "cuda:0"), many times as slowly as float32 is computed there.

    A 3^3 convolution of 64 to 32 channels at 64^3, forward and backward, took 1.6 s of one core in float32 and 173 s in
    bfloat16 on a processor with AVX2 alone (docs/performance.md, "Precisions").
    """
    if device.startswith("cuda"):
        return not torch.cuda.is_bf16_supported(including_emulation=False)
    features = torch.cpu.get_capabilities()
    return not any(features.get(name) for name in _INSTRUCTIONS)
