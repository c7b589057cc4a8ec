"""Table 1 of MEGAN's paper (Uzunova et al. 2020) on kernels that are simulated, so that the truth is known.

A soft kernel's CT, a phantom's or a real one, is the truth; the same scan with noise and an unsharp mask stands for a
sharp kernel's. What the paper compares on its own CTs is compared on these: a table's shape, not its numbers.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor, nn

from evaluation.studies.markdown import markdown
from evaluation.translation import Likeness, Measures, as_json
from model_store.networks.cascade import BACKGROUND, Cascade
from model_store.networks.megan import ResidualGenerator

COARSE, EDGES = 0, 1
"""Channels of what an HR network reads."""


@dataclass(frozen=True)
class Kernel:
    """A sharp reconstruction: soft + amount * (soft - blurred soft) + noise, likewise sharpened."""

    name: str
    amount: float
    noise_hu: float
    """Deviation, before it is sharpened with the scan."""
    sigma: float = 1.0
    """Of the blur, in voxels."""


SHARP = Kernel("sharp", 0.6, 45.0)
VERY_SHARP = Kernel("very sharp", 1.5, 90.0)
KERNELS = (VERY_SHARP, SHARP)
"""They stand for B80f and B50f."""


def sharpened(soft: NDArray[Any], kernel: Kernel, seed: int) -> NDArray[np.float32]:
    """A scan (X, Y, Z) in HU as the kernel would show it; the same seed, the same noise."""
    grain = np.random.default_rng(seed).standard_normal(soft.shape, dtype=np.float32)
    noisy = soft.astype(np.float32) + np.float32(kernel.noise_hu) * grain
    blurred = ndimage.gaussian_filter(noisy, kernel.sigma)
    sharp: NDArray[np.float32] = noisy + np.float32(kernel.amount) * (noisy - blurred)
    return sharp


class Blackout(nn.Module):
    """An HR network one of whose inputs is background everywhere (figure 11)."""

    def __init__(self, network: ResidualGenerator, channel: int) -> None:
        super().__init__()
        self.network, self.channel = network, channel
        self.work = network.work

    def forward(self, x: Tensor) -> Tensor:
        """(n, 2, 32^3) -> (n, 1, 32^3)."""
        x = x.clone()
        x[:, self.channel] = BACKGROUND
        image: Tensor = self.network(x)
        return image


def blacked_out(cascade: Cascade, channel: int) -> Cascade:
    """The same networks, HR ones without one of their inputs."""
    changed = Cascade(cascade.lr, [], cascade.edge_power)
    changed.levels = nn.ModuleList(
        [cascade.lr, *(Blackout(cast("ResidualGenerator", level), channel) for level in list(cascade.levels)[1:])]
    )
    return changed.eval()


PAPER: Mapping[str, Mapping[str, tuple[float, float, float, float]]] = {
    VERY_SHARP.name: {
        "ours": (0.773, 0.033, 0.004, 24.1),
        "patch-wise": (0.706, 0.049, 0.008, 21.2),
        "small, enlarged": (0.633, 0.058, 0.011, 19.5),
        "original": (0.480, 0.065, 0.012, 19.2),
    },
    SHARP.name: {
        "ours": (0.794, 0.033, 0.003, 24.8),
        "patch-wise": (0.698, 0.050, 0.008, 21.1),
        "small, enlarged": (0.636, 0.055, 0.012, 19.3),
        "original": (0.722, 0.028, 0.002, 26.3),
    },
}
"""Table 1, B80f and B50f to B20f: SSIM, MAE, MSE, PSNR in dB."""


@dataclass(frozen=True)
class Row:
    """One method's mean over the test volumes of one kernel."""

    kernel: str
    method: str
    volumes: int
    measures: Measures

    def as_json(self) -> dict[str, Any]:
        """With the paper's row of that name, where it has one."""
        paper = PAPER.get(self.kernel, {}).get(self.method)
        named = None if paper is None else dict(zip(("ssim", "mae", "mse", "psnr_db"), paper, strict=True))
        own = {"kernel": self.kernel, "method": self.method, "volumes": self.volumes}
        return own | as_json(self.measures) | {"paper": named}


HEAD = ("kernel", "method", "SSIM", "MAE", "MSE", "PSNR dB", "in the body: SSIM", "MAE", "PSNR dB",
        "paper: SSIM", "MAE", "PSNR dB")  # fmt: skip


def table(rows: Iterable[Row]) -> str:
    """Markdown, beside the paper's numbers."""
    return markdown(HEAD, (_line(row) for row in rows))


def _line(row: Row) -> Sequence[str]:
    whole, inside = row.measures.whole, row.measures.foreground
    paper = PAPER.get(row.kernel, {}).get(row.method)
    beside = ("", "", "") if paper is None else (f"{paper[0]:.3f}", f"{paper[1]:.3f}", f"{paper[3]:.1f}")
    own = (f"{whole.ssim:.3f}", f"{whole.mae:.3f}", f"{whole.mse:.4f}", _decibel(whole))
    return (row.kernel, row.method, *own, f"{inside.ssim:.3f}", f"{inside.mae:.3f}", _decibel(inside), *beside)


def _decibel(found: Likeness) -> str:
    return "-" if found.psnr_db is None else f"{found.psnr_db:.1f}"
