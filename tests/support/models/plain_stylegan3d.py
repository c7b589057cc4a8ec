"""The authors' 3D-StyleGAN evaluated from their variables, step by step in float64, as formats.md 2.4 and 2.5 say it.

Nothing is folded: weights are modulated for each sample, upsampled grids are made, filters are summed tap by tap.
"""

import itertools
import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.support.models.stylegan3d_pickles import Variables


class PlainStyleGAN3D:
    def __init__(self, mapping: Variables, synthesis: Variables, taps: Sequence[float] = (1, 3, 3, 3, 1)) -> None:
        self.of_mapping = {key: torch.tensor(np.asarray(value), dtype=torch.float64) for key, value in mapping.items()}
        self.of = {key: torch.tensor(np.asarray(value), dtype=torch.float64) for key, value in synthesis.items()}
        outer = np.einsum("i,j,k->ijk", *[np.asarray(taps, dtype=np.float64)] * 3)
        self.fir = outer / outer.sum()

    def map(self, z: Tensor, label: int | None = None) -> Tensor:
        """(n, z_dim) -> (n, w_dim)."""
        x = z.double()
        if label is not None:
            x = torch.cat([x, self.of_mapping["LabelConcat/weight"][label].repeat(len(z), 1)], 1)
        x = x / torch.sqrt((x**2).mean(1, keepdim=True) + 1e-8)
        for n in range(8):
            weight, bias = self.of_mapping[f"Dense{n}/weight"], self.of_mapping[f"Dense{n}/bias"]
            x = activate(x @ (weight * 0.01 / math.sqrt(len(weight))) + bias * 0.01)
        return x

    def synthesise(self, w: Tensor, architecture: str, noise: Sequence[Tensor] | None = None) -> Tensor:
        """(n, num_styles, w_dim) -> (n, 1, ...)."""
        return torch.stack([self._one(styles.double(), architecture, noise) for styles in w])

    def _one(self, w: Tensor, architecture: str, noise: Sequence[Tensor] | None) -> Tensor:
        """(num_styles, w_dim) -> (1, ...)."""
        fields = (
            [self.of[f"noise{i}"][0] for i in range(len(w) - 1)] if noise is None else [n[0].double() for n in noise]
        )
        scopes = list(dict.fromkeys(key.split("/")[0] for key in self.of if "/" in key))
        x = self.of[f"{scopes[0]}/Const/const"][0]
        x = self._layer(x, f"{scopes[0]}/Conv", w[0], fields[0])
        image = self._image(x, scopes[0], w[1])
        for k, scope in enumerate(scopes[1:]):
            before = x
            x = self._layer(x, f"{scope}/Conv0_up", w[2 * k + 1], fields[2 * k + 1], up=True)
            x = self._layer(x, f"{scope}/Conv1", w[2 * k + 2], fields[2 * k + 2])
            if architecture == "resnet":
                kernel = self.of[f"{scope}/Skip/weight"]
                x = (x + self._upsample_conv(before, kernel / math.sqrt(kernel.shape[3]))) / math.sqrt(2)
            own = self._image(x, scope, w[2 * k + 3])
            if architecture == "skip":
                image = self._upsample_image(image) + own
            elif own is not None:
                image = own
        return image

    def _layer(self, x: Tensor, scope: str, w: Tensor, noise: Tensor, up: bool = False) -> Tensor:
        kernel = self._modulated(scope, w)
        kernel = kernel / torch.sqrt((kernel**2).sum((0, 1, 2, 3)) + 1e-8)
        plain = kernel.permute(4, 3, 0, 1, 2)
        x = self._upsample_conv(x, kernel) if up else F.conv3d(x[None], plain, padding=1)[0]
        if f"{scope}/noise_strength" in self.of:
            x = x + noise * self.of[f"{scope}/noise_strength"]
        return activate(x + self.of[f"{scope}/bias"][:, None, None, None])

    def _modulated(self, scope: str, w: Tensor) -> Tensor:
        """The kernel (k, k, k, in, out) with a sample's style on its input channels."""
        kernel, matrix = self.of[f"{scope}/weight"], self.of[f"{scope}/mod_weight"]
        style = w @ (matrix / math.sqrt(len(matrix))) + self.of[f"{scope}/mod_bias"] + 1
        return kernel / math.sqrt(math.prod(kernel.shape[:4])) * style[:, None]

    def _image(self, x: Tensor, scope: str, w: Tensor) -> Tensor | None:
        if f"{scope}/ToRGB/weight" not in self.of:
            return None
        kernel = self._modulated(f"{scope}/ToRGB", w)[0, 0, 0]
        return torch.einsum("cxyz,co->oxyz", x, kernel) + self.of[f"{scope}/ToRGB/bias"]

    def _upsample_conv(self, x: Tensor, kernel: Tensor) -> Tensor:
        """(in, n...) -> (out, 2n...): the kernel is reversed on the first two axes only."""
        k = kernel.shape[0]
        y = x.new_zeros(kernel.shape[4], *(2 * (n - 1) + k for n in x.shape[1:]))
        d, h, w = (2 * n - 1 for n in x.shape[1:])
        for a, b, c in itertools.product(range(k), repeat=3):
            part = torch.einsum("ixyz,io->oxyz", x, kernel[k - 1 - a, k - 1 - b, c])
            y[:, a : a + d : 2, b : b + h : 2, c : c + w : 2] += part
        return self._filter(y, (5 + 2 - k) // 2, (5 - 2 - k + 3) // 2)

    def _upsample_image(self, image: Tensor) -> Tensor:
        for axis in (1, 2, 3):
            image = image.repeat_interleave(2, axis)
        return self._filter(image, 3, 1)

    def _filter(self, x: Tensor, before: int, behind: int) -> Tensor:
        """Convolution, so tap j meets the voxel 4 - j behind, with gain 4."""
        x = F.pad(x, (before, behind) * 3)
        d, h, w = (n - 4 for n in x.shape[1:])
        total = x.new_zeros(len(x), d, h, w)
        for a, b, c in itertools.product(range(5), repeat=3):
            total += 4 * self.fir[a, b, c] * x[:, 4 - a : 4 - a + d, 4 - b : 4 - b + h, 4 - c : 4 - c + w]
        return total


def activate(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, 0.2 * x) * math.sqrt(2)
