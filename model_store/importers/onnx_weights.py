"""The jailed half of the ONNX import: files judged, run once, and put into weights.safetensors. Runs in the jail only.

What a dry run measures is what the model's card says of its memory (docs/decisions/0012). What runs are the bytes that
were judged: each file is read once.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from model_store.importers.jail import ImportRefused
from model_store.networks.onnx import EncoderGraph, GeneratorGraph, Port, Session, Shape
from model_store.networks.onnx_graph import GraphRefused
from model_store.regular_files import OddFileError, read_regular
from model_store.sizes.onnx import LARGEST_BYTES

_MARGIN = 1.25
"""On measured memory: more threads need more room for their sums."""
_AT_LEAST_BYTES = 16 << 20
_PAGE_BYTES = 4096


def read(request: dict[str, Any]) -> dict[str, Any]:
    """Runs the files `request["generator"]` and `request["encoder"]`, writes the safetensors file `request["target"]`.

    `z_dim` and `shape` of the request are None where the file is to say them. Returns both, the card's `network`, and
    of the dry run `seconds`, `low` and `high`. Called in the jail.
    """
    torch.set_num_threads(1)
    paths = {name: request[name] for name in ("generator", "encoder") if request[name]}
    files = {name: _bytes(path, name) for name, path in paths.items()}
    before = _resident_bytes()
    sessions = {name: _opened(data, name, request["threads"]) for name, data in files.items()}
    held = max(_resident_bytes() - before, sum(map(len, files.values())))
    try:
        facts = _dry_run(sessions, request)
    except GraphRefused as err:
        raise ImportRefused(err.detail) from err
    except RuntimeError as err:
        raise ImportRefused(f"The network does not run: {err}.") from err
    try:
        tensors = {name: torch.frombuffer(bytearray(data), dtype=torch.uint8) for name, data in files.items()}
        save_file(tensors, request["target"])
    except SafetensorError as err:
        raise ImportRefused("The weights cannot be written to the model folder; is the disk full?") from err
    sizes = {f"{name}_bytes": len(data) for name, data in files.items()}
    return facts | {"network": facts["network"] | sizes | {"session_bytes": held}}


def _dry_run(sessions: dict[str, Session], request: dict[str, Any]) -> dict[str, Any]:
    """Each network twice on the same: what comes out must be the same, and a number."""
    generator, classes = sessions["generator"], int(request["classes"])
    z_dim = request["z_dim"] or _stated_length(generator.inputs)
    shape: Shape = tuple(request["shape"] or _stated_shape(generator.outputs))
    graph = GeneratorGraph(generator, z_dim, classes, shape)
    z = torch.randn(z_dim, generator=torch.Generator().manual_seed(0))
    one_hot = torch.eye(max(classes, 1))[0, :classes]
    began = time.monotonic()
    volume, work = _measured(lambda: graph.volume(z, one_hot))
    seconds = time.monotonic() - began
    _check_repeats(volume, graph.volume(z, one_hot), "generator")
    network = {"synthesise_bytes": work}
    if "encoder" in sessions:
        encoder = EncoderGraph(sessions["encoder"], z_dim, shape)
        latent, network["encode_bytes"] = _measured(lambda: encoder.latent(volume))
        _check_repeats(latent, encoder.latent(volume), "encoder")
    return {
        "z_dim": z_dim,
        "shape": shape,
        "network": network,
        "seconds": seconds,
        "low": float(volume.min()),
        "high": float(volume.max()),
    }


def _bytes(path: str, name: str) -> bytes:
    try:
        return read_regular(Path(path), LARGEST_BYTES)
    except OddFileError as err:
        raise ImportRefused(f"The {name} file is no plain file of at most {LARGEST_BYTES >> 20} MiB.") from err


def _opened(data: bytes, name: str, threads: int) -> Session:
    try:
        return Session(data, torch.device("cpu"), threads)
    except GraphRefused as err:
        raise ImportRefused(f"Of the {name}: {err.detail}") from err


def _stated_length(inputs: Sequence[Port]) -> int:
    """Of z, where one input alone can be it and the file says its sides."""
    stated = [port.values for port in inputs if port.is_float]
    if len(stated) != 1 or not stated[0]:
        raise ImportRefused(f"Give --z-dim; the file's inputs are {', '.join(map(str, inputs)) or 'none'}.")
    return stated[0]


def _stated_shape(outputs: Sequence[Port]) -> Sequence[int]:
    """Of the volume, where the file has one output and says its sides; one channel may stand before them or behind."""
    sides = outputs[0].sides[1:] if len(outputs) == 1 else ()
    if len(sides) == 4:
        sides = sides[1:] if sides[0] == 1 else sides[: -1 if sides[-1] == 1 else 0]
    known = [side for side in sides if side]
    if len(known) != 3 or len(sides) != 3:
        raise ImportRefused(f"Give --shape; the file's outputs are {', '.join(map(str, outputs)) or 'none'}.")
    return known


def _check_repeats(first: Tensor, second: Tensor, name: str) -> None:
    if not bool(torch.isfinite(first).all()):
        raise ImportRefused(f"The {name} gives values that are not finite.")
    if not torch.equal(first, second):
        raise ImportRefused(
            f"The {name} gives something else each time; export it in eval mode (model.eval()), without random noise."
        )


def _measured(make: Callable[[], Tensor]) -> tuple[Tensor, int]:
    """What is made, and the memory that this took at the worst moment, with a margin."""
    before = _resident_bytes()
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here on
    made = make()
    status = Path("/proc/self/status").read_text()
    peak = next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmHWM"))
    return made, int(max(peak - before, _AT_LEAST_BYTES) * _MARGIN)


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES
