"""The real worker on a device that gets into trouble: torch's own errors, raised where a kernel would have.

The folder that DEVICE_TROUBLE names holds a file for each trouble to come: memory-* or device-*. A convolution that is
about to run uses one up. As long as there is a file `full`, no weights get onto the device.
"""

import os
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

from workers.main import DeviceWork
from workers.process import run_worker

ERRORS = {
    "memory": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 64.00 GiB."),
    "device": torch.AcceleratorError("CUDA error: an illegal memory access was encountered"),
}


def stumble(module: nn.Module, _inputs: object) -> None:
    """Before every module's forward pass."""
    if isinstance(module, nn.Conv3d):
        for trouble in sorted(Path(os.environ["DEVICE_TROUBLE"]).iterdir()):
            trouble.unlink()
            raise ERRORS[trouble.name.partition("-")[0]]


def move(tensor: torch.Tensor, *where: Any, **how: Any) -> torch.Tensor:
    """As Tensor.to, where the device has room."""
    if (Path(os.environ["DEVICE_TROUBLE"]) / "full").exists():
        raise ERRORS["memory"]
    return MOVE(tensor, *where, **how)


if __name__ == "__main__":
    MOVE, torch.Tensor.to = torch.Tensor.to, move  # type: ignore[method-assign]
    nn.modules.module.register_module_forward_pre_hook(stumble)
    sys.exit(run_worker(DeviceWork, sys.argv[1:]))
