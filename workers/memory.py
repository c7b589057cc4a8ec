"""Whether a job fits: an estimate of its peak from the card, and the memory that this worker may use."""

import os
import resource
import sys
from pathlib import Path

import torch

from jobs.errors import MemoryLimit
from jobs.requests import AnyRequest, EncodeRequest, FitDirectionRequest, SefaFit
from model_store.card import ModelCard
from model_store.generator import Task
from model_store.load import Precision, outline

PROCESS_BYTES = 400 * 2**20
"""A worker with torch, SciPy and SimpleITK in it before its first model; measured, rounded up."""
_VOLUMES_OF_FILES = {"synthesise": 3, "encode": 8, "refine": 8}
"""Float32 volumes beside the network: the one being written, its stored voxels; a scan, its windowed and its resampled
copy, what is compared."""
_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def task_of(request: AnyRequest, has_encoder: bool = True) -> Task | None:
    """The hungriest thing that a request asks of a network; None where it reads weights alone."""
    if isinstance(request, EncodeRequest):  # without an encoder a latent is found by descent alone
        return "refine" if request.refine_steps or not has_encoder else "encode"
    if isinstance(request, FitDirectionRequest) and isinstance(request.fit, SefaFit):
        return None
    return "synthesise"


def peak_bytes(card: ModelCard, task: Task, precision: Precision, low_memory: bool, device: torch.device) -> int:
    """Estimate of the peak on the device: the weights as served, what the forward pass holds at once, and on the CPU
    the process and the volumes that become files.

    Raises:
        BrokenModel: the card's network cannot be built.
    """
    model = outline(card, precision, low_memory)
    peak = model.size_bytes + model.work_bytes(task)
    if device.type != "cpu":
        return peak
    volume = 4 * card.shape[0] * card.shape[1] * card.shape[2]
    return peak + PROCESS_BYTES + _VOLUMES_OF_FILES[task] * volume


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
