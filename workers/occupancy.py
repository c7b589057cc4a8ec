"""How full a worker's device is, for what the worker says of itself."""

import os
from pathlib import Path

import torch

from workers.memory import limit_bytes


def memory_of(device: torch.device, setting: int = 0) -> dict[str, int]:
    """used_bytes and total_bytes: of the whole card; on the CPU what this process holds, and what it may use.

    `setting`: as of limit_bytes.
    """
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return {"used_bytes": total - free, "total_bytes": total}
    resident = Path("/proc/self/statm")
    pages = int(resident.read_text().split()[1]) if resident.is_file() else 0
    return {"used_bytes": pages * os.sysconf("SC_PAGE_SIZE"), "total_bytes": limit_bytes(device, setting)}
