"""The command: `python -m benchmarks.precisions`: how far the volumes of each precision are from float32's.

The shipped models, and a full-width HA-GAN of random weights, whose noise amplifies rounding. On the CPU, float16 goes
through torch's own kernels (minutes for the full width), and tf32, which is CUDA's alone, is imitated: each factor of a
product is rounded to the 10 bits of its mantissa that the matrix units read. Prints a table; with --record it goes into
docs/performance.md.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.subjects import SUBJECTS
from benchmarks.table import put_between, table_of
from latents.sample import gaussian
from model_store.card import ModelCard
from model_store.catalogue import SHIPPED, Catalogue
from model_store.load import Precision, load

DOCS = Path(__file__).parent.parent / "docs"
RANDOM = "random full-width HA-GAN"
HU_SPAN = 1624
"""Of the network range of a CT model, -1024 to 600 HU."""
_PRODUCTS = {
    getattr(torch.ops.aten, name)
    for name in ("addmm", "bmm", "conv3d", "conv_transpose3d", "convolution", "linear", "matmul", "mm")
}


@dataclass(frozen=True)
class Apart:
    """How far a model's volumes in a precision are from those in float32, in network units."""

    model: str
    precision: str
    mean: float
    largest: float
    hu: float
    """Of a CT model, per network unit."""


class TF32(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Products and convolutions as CUDA's matrix units compute them under tf32."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func.overloadpacket in _PRODUCTS:
            args = tuple(rounded(value) if _is_factor(value) else value for value in args)
        return func(*args, **(kwargs or {}))


def rounded(x: Tensor) -> Tensor:
    """float32 values to the nearest with 10 bits of mantissa, halves away from zero."""
    return ((x.view(torch.int32) + 0x1000) & -0x2000).view(torch.float32)


def compare(folder: Path, card: ModelCard, precision: Precision, seeds: Sequence[int], device: str) -> Apart:
    """The model's volumes of these seeds, in one precision beside float32."""
    imitates = precision == "tf32" and device == "cpu"
    exact, rough = load(folder, card, device), load(folder, card, device, precision)
    total = largest = 0.0
    for seed in seeds:
        z = gaussian(seed, card.latent.z_dim)[None]
        with torch.inference_mode():
            expected = exact.synthesise(exact.map(z))
            with TF32() if imitates else nullcontext():  # type: ignore[no-untyped-call]
                difference = (rough.synthesise(rough.map(z)) - expected).abs()
        total += float(difference.mean())
        largest = max(largest, float(difference.max()))
    low, high = card.intensity.network_range
    return Apart(card.name, precision, total / len(seeds), largest, HU_SPAN / (high - low))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.precisions", description=__doc__)
    parser.add_argument("--device", default="cpu", help="cpu or cuda:N")
    parser.add_argument("--seeds", type=int, default=3, help="volumes of each model")
    parser.add_argument("--record", action="store_true", help="put the table into docs/performance.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="voxelsmith-precisions-") as folder:
        rows = list(_measured(Path(folder), range(1, options.seeds + 1), options.device))
    text = table_of(("model", "precision", "mean", "largest", "as HU: mean, largest"), map(_row, rows))
    sys.stdout.write(text + "\n")
    if options.record:
        put_between(DOCS / "performance.md", "precisions", text)


def _measured(folder: Path, seeds: Sequence[int], device: str) -> Iterator[Apart]:
    hagan = SUBJECTS["hagan"]
    hagan.write(folder, "random", 256, hagan.width, hagan.latent)
    catalogue = Catalogue([SHIPPED, folder])
    for card in (card for card in catalogue.cards() if isinstance(card, ModelCard)):
        for precision in get_args(Precision):
            if precision != "float32":
                yield compare(catalogue.folder(card.name), card, precision, seeds, device)


def _row(apart: Apart) -> tuple[str, ...]:
    as_hu = ", ".join(f"{float(f'{value * apart.hu:.2g}'):g}" for value in (apart.mean, apart.largest))
    name = RANDOM if apart.model == "random" else f"`{apart.model}`"
    return name, f"`{apart.precision}`", f"{apart.mean:.1e}", f"{apart.largest:.1e}", as_hu


def _is_factor(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dtype == torch.float32 and value.ndim > 1


if __name__ == "__main__":
    main()
