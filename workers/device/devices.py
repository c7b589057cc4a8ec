"""Which devices a setting names, and what is known of them without torch."""

import os
import re
from pathlib import Path

CARDS = Path("/proc/driver/nvidia/gpus")
"""Where the driver lists its GPUs. In containers and under WSL it may be missing although there are some."""
NODES = Path("/dev")
"""Where a container has a file nvidia0, nvidia1, ... for each GPU that it was given."""
QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""A container's share of the processors: microseconds of them and the period for which they hold, or "max"."""
_DEVICE = re.compile(r"cpu|all|cuda:(?P<index>[0-9]{1,3})")
_CUDA_ONLY = frozenset({"float16", "tf32"})


def devices(device: str, cards: Path = CARDS, nodes: Path = NODES) -> list[str]:
    """The devices that a setting names; "all" is every CUDA device that the driver lists, or the CPU."""
    if device != "all":
        return [device]
    count = _count(cards) if cards.is_dir() else len(list(nodes.glob("nvidia[0-9]*")))
    return [f"cuda:{index}" for index in range(count)] or ["cpu"]


def cores(quota: Path = QUOTA) -> int:
    """Those that this process may keep busy; a container or `taskset` may leave it fewer than the machine has."""
    seen = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share, _, period = quota.read_text().strip().partition(" ") if quota.is_file() else ("max", "", "")
    return min(seen, -(-int(share) // int(period))) if share.isdecimal() else seen


def check_device(device: str, precision: str, cards: Path = CARDS) -> None:
    """Refuses what no worker here could use. Raises: ValueError, one line for the user."""
    match = _DEVICE.fullmatch(device)
    if match is None:
        raise ValueError(f"a device (--device, VOXELSMITH_DEVICE) is cpu, cuda:N such as cuda:0, or all; not {device}")
    if match["index"] and cards.is_dir() and int(match["index"]) >= _count(cards):
        raise ValueError(f"there is no {device} on this machine; GPUs that its driver lists: {_count(cards)}")
    if precision in _CUDA_ONLY and devices(device, cards) == ["cpu"]:
        raise ValueError(f"{precision} needs a CUDA device; take bfloat16 or float32 on the CPU")


def _count(cards: Path) -> int:
    return len(list(cards.glob("*")))
