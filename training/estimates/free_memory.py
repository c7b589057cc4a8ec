"""What memory a training may still have, and what its process holds: of the machine, its container, or a device."""

import os
from pathlib import Path

import torch

_GROUP = Path("/sys/fs/cgroup")
_LISTED, _OWN = Path("/proc/meminfo"), Path("/proc/self/statm")


def held_bytes(device: torch.device) -> int:
    """By this process: on CUDA what torch has reserved, else what is resident."""
    if device.type == "cuda":
        return int(torch.cuda.memory_reserved(device))
    return int(_OWN.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if _OWN.is_file() else 0


def free_bytes(device: torch.device) -> int:
    """What can be had beside it without swapping, within the container's limit where there is one."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return min([_of_the_machine(), *_of_the_container()])


def _of_the_machine() -> int:
    rows = dict(line.split(":", 1) for line in _LISTED.read_text().splitlines()) if _LISTED.is_file() else {}
    available = rows.get("MemAvailable", "").split()
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    return int(available[0]) * 1024 if available else pages


def _of_the_container(group: Path = _GROUP) -> list[int]:
    """By control groups of version 2; files that were read and lie in memory still give way."""
    limit, used = group / "memory.max", group / "memory.current"
    if not (limit.is_file() and used.is_file() and limit.read_text().strip().isdecimal()):
        return []
    rows = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    return [int(limit.read_text()) - int(used.read_text()) + int(rows.get("inactive_file", 0))]
