"""Whether a job fits: an estimate of its peak from the card, and the memory that this worker may use."""

import math
import os
import resource
import sys
from collections.abc import Set
from pathlib import Path

import torch

from contract.errors import MemoryLimit
from contract.fields import OutputOptions
from contract.fit import made_by
from model_store.card import AnyCard, ModelCard, Task
from model_store.load import Precision, outline
from model_store.loaded_model import Shape

PROCESS_BYTES = 400 * 2**20
"""A worker with torch, SciPy and SimpleITK in it before its first model; measured, rounded up."""
_VOLUMES_OF_FILES = {"synthesise": 3, "encode": 8, "refine": 8, "translate": 3}
"""Float32 volumes beside the network: the one being written, its stored voxels; a scan, its windowed and its resampled
copy, what is compared. A translation has the scan, its edges as bytes, the result, and its stored voxels."""
_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def peak_bytes(
    card: AnyCard,
    tasks: Set[Task],
    precision: Precision,
    low_memory: bool,
    device: torch.device,
    scan_shape: Shape | None = None,
) -> int:
    """Estimate of the peak on the device: the weights as served, what the hungriest of the tasks holds at once, and on
    the CPU the process and the volumes that become files.

    `scan_shape`: (A0, A1, A2) of the volume to make, of a model whose card has no shape.

    Raises:
        FolderFault: the card's network cannot be built.
    """
    model, shape = outline(card, precision, low_memory), card.shape if isinstance(card, ModelCard) else scan_shape
    if shape is None:
        raise TypeError("what a translator needs depends on the shape of its volume")
    if device.type != "cpu":
        return model.size_bytes + max(model.work_bytes(task, shape) for task in tasks)
    volume = 4 * math.prod(shape)
    work = max(model.work_bytes(task, shape) + _VOLUMES_OF_FILES[task] * volume for task in tasks)
    return model.size_bytes + work + PROCESS_BYTES


def resampling_bytes(card: AnyCard, output: OutputOptions, device: torch.device, scan_shape: Shape | None) -> int:
    """Estimate of what storing volumes on a chosen grid adds on the CPU: a smoothed copy, the resampled volume twice
    and its stored voxels. A translator's scan is taken as 1 mm wide, its header being read elsewhere."""
    if not output.is_resampled or device.type != "cpu":
        return 0
    made, spacing_mm = made_by(card) if isinstance(card, ModelCard) else (scan_shape or (0, 0, 0), (1.0, 1.0, 1.0))
    return 4 * math.prod(made) + 12 * math.prod(output.sides(made, spacing_mm))


def limit_bytes(device: torch.device, setting: int = 0) -> int:
    """The least of the setting (0: none), the container's limit and the machine's memory; on CUDA of the setting and
    what is free there or already this process's."""
    limits = [setting] if setting else []
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return min([*limits, free + torch.cuda.memory_reserved(device)])
    for path in map(Path, _CGROUP_LIMITS):
        text = path.read_text().strip() if path.is_file() else "max"
        limits += [int(text)] if text.isdecimal() else []
    return min([*limits, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")])


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


def require(peak: int, limit: int) -> None:
    """Raises: MemoryLimit, with both figures."""
    if peak > limit:
        raise MemoryLimit(
            f"The job needs about {_mib(peak)} MiB of memory at once; this worker may use {_mib(limit)} MiB."
        )


def measured_peak_bytes(device: torch.device) -> int:
    """The most that this process ever held: on CUDA of the device's memory, else resident."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _mib(size: int) -> int:
    return -(-size // 2**20)
