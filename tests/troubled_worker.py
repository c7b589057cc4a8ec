"""The real worker on a device that gets into trouble: torch's own errors, raised where a kernel would have.

The folder that DEVICE_TROUBLE names holds a file for each trouble to come: memory-* or device-*. A convolution that is
about to run uses one up.
"""

import os
import sys
from pathlib import Path

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


if __name__ == "__main__":
    nn.modules.module.register_module_forward_pre_hook(stumble)
    sys.exit(run_worker(DeviceWork, sys.argv[1:]))
