"""A measuring process: MEGAN's patches both ways, or one whole translation and what it holds."""

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch
from torch import Tensor

from benchmarks.children import answer, peak_bytes
from benchmarks.matrix import rate_gflops, synchronise
from benchmarks.plain.megan import PlainHR
from benchmarks.results import Difference, Patches, Translation
from benchmarks.weights.random_megan import write_megan
from jobs.settings import Settings
from model_store.catalogue import Catalogue
from model_store.families.megan import ServedMEGAN
from model_store.load import settle_float32
from model_store.networks.cascade import BATCH
from model_store.networks.megan import ResidualGenerator
from model_store.networks.patches import PATCH
from training.estimates.held_memory import Held
from workers.bench import Bench
from workers.main import bench_of
from workers.run import run
from workers.writing.folder_sink import FolderSink

NAME = "bench-megan"
BLOCKS = 6
LR_SIZE = 64
NARROW = 2
"""Width of the HR networks of a whole translation: full ones would take an hour at 512^3 and hold a tenth of LR."""


def measured(what: str, folder: str, device: str, threads: int, **asked: Any) -> dict[str, Any]:
    """Patches, or a Translation, as a dictionary."""
    if threads:
        torch.set_num_threads(threads)
    where = {"device": device, "threads": threads}
    if what == "patches":
        return patches(Path(folder), where, **asked)
    return (write if what == "write" else memory)(Path(folder), where, **asked)


def patches(folder: Path, where: dict[str, Any], width: int, repeats: int, matrix_edge: int) -> dict[str, Any]:
    """An HR network: a batch as it is served, and the same patches one after the other in the plain way."""
    write_megan(folder / "patches", NAME, [NARROW, width], [1, BLOCKS], 16)
    served = translator(folder / "patches", where)
    network, device = served.cascade.levels[1], served.device
    assert isinstance(network, ResidualGenerator)
    weights = {key: value.contiguous() for key, value in served.state_dict().items()}
    plain = PlainHR(weights, 1, BLOCKS)
    if device.type == "cuda":
        settle_float32("float32")
    inputs = torch.rand(BATCH, 2, *(PATCH,) * 3, generator=torch.Generator().manual_seed(0)) * 2 - 1
    inputs = inputs.to(device)
    rows = inputs.contiguous(memory_format=torch.channels_last_3d)
    ways: dict[str, Callable[[], Tensor]] = {
        "ours": lambda: network(rows),
        "plain": lambda: torch.cat([plain(inputs[k : k + 1]) for k in range(BATCH)]),
    }
    with torch.inference_mode():
        outputs = {name: way() for name, way in ways.items()}
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(repeats):  # in turn, for a shared machine is faster at one time than at another
            for name, way in ways.items():
                seconds[name].append(_timed(way, device) / BATCH)
        rate = rate_gflops(device, "float32", matrix_edge)
    apart = (outputs["ours"] - outputs["plain"]).abs()
    difference = Difference(float(apart.max()), float(apart.mean()))
    gflop = 2 * network.work((PATCH,) * 3) / 1e9
    return asdict(Patches(width, BLOCKS, seconds["ours"], seconds["plain"], gflop, rate, difference))


def _timed(way: Callable[[], Tensor], device: torch.device) -> float:
    synchronise(device)
    begun = time.perf_counter()
    way()
    synchronise(device)
    return time.perf_counter() - begun


def write(folder: Path, where: dict[str, Any], width: int, size: int) -> dict[str, Any]:  # noqa: ARG001 -- as memory
    """The model and the scan of a whole translation: in a process of its own, whose memory is not the worker's."""
    doublings = max(1, (size // LR_SIZE).bit_length() - 1)
    widths, blocks = [width, *[NARROW] * doublings], [BLOCKS, *[1] * doublings]
    write_megan(folder / f"models-{size}", NAME, widths, blocks, size >> doublings)
    _write_scan(folder / f"scan-{size}.nii", size)
    return {}


def memory(folder: Path, where: dict[str, Any], width: int, size: int) -> dict[str, Any]:  # noqa: ARG001 -- as write
    """A worker's job on a scan of size^3 that becomes a cube of size^3."""
    models, scan = folder / f"models-{size}", folder / f"scan-{size}.nii"
    bench, held = _bench(models, where), 0
    served = translator(models, where, bench)
    original = served.cascade._run

    def watched(scale: int, inputs: Tensor) -> Tensor:
        nonlocal held
        with Held(served.device.type) as counter:
            image = original(scale, inputs)
        held = max(held, counter.peak)
        return image

    served.cascade._run = watched  # type: ignore[method-assign]
    begun = time.perf_counter()
    run("translate", {"model": NAME, "output": {"format": "nii", "preview": False}}, scan, bench,
        FolderSink(folder / f"out-{size}"))  # fmt: skip
    seconds = time.perf_counter() - begun
    return asdict(Translation(size, seconds, peak_bytes() or 0, served.size_bytes, 2 * size**3, held))


def _write_scan(path: Path, size: int) -> None:
    """int16, a ball with shells in air, plane by plane; noise, so that there are edges everywhere."""
    random = np.random.default_rng(0)
    y, z = np.ogrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    image = nibabel.Nifti1Image(np.zeros((1, 1, 1), dtype=np.int16), np.eye(4))
    header = image.header.copy()
    header.set_data_shape((size, size, size))
    header["vox_offset"] = 352
    header["magic"] = b"n+1"
    with path.open("wb") as file:
        file.write(header.binaryblock + bytes(4))
        for z_at in np.linspace(-1, 1, size):  # Fortran order: the last axis is the slowest
            radius = np.sqrt(y**2 + z**2 + z_at**2)
            plane = np.where(radius < 0.95, 400 + 200 * np.sin(30 * radius), 0) + random.normal(0, 5, radius.shape)
            file.write(np.clip(plane, 0, 900).astype("<i2").tobytes(order="F"))


def _bench(models: Path, where: dict[str, Any]) -> Bench:
    return bench_of(Settings.model_validate(where), Catalogue([models]))


def translator(models: Path, where: dict[str, Any], bench: Bench | None = None) -> ServedMEGAN:
    """The model of a folder as a worker holds it."""
    served = (bench or _bench(models, where)).translator(NAME)
    assert isinstance(served, ServedMEGAN)
    return served


if __name__ == "__main__":
    answer(measured)
