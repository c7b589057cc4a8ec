"""3D-StyleGAN as table A.3 of the bone paper draws it, written plainly: the way that ours is compared with.

Each sample has its own modulated and demodulated weight, every upsampled tensor is made and then convolved with 3^3
taps, memory is contiguous, nothing happens in place. Weights by the keys of a model folder's file.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.plain.progan import PlainProgressive, equalised
from model_store.families.stylegan import noise_source


class PlainStyleGAN(PlainProgressive):
    """Mapping, synthesis at the last stage and, where the weights have one, the encoder (section 3.5)."""

    def map(self, z: Tensor) -> Tensor:
        """(n, z_dim) -> (n, w_dim)."""
        w = z.to(self.of("mapping.layers.0.weight"))
        for layer in range(self.count("mapping.layers")):
            w = F.leaky_relu(self.dense(f"mapping.layers.{layer}", w), 0.2)
        return w

    def synthesise(self, z: Tensor, noise_seed: int | None = None) -> Tensor:
        """(n, z_dim) -> (n, 1, *shape) in [0, 1]."""
        return self.decode(self.map(z)[:, None].expand(-1, 3 * self.stages, -1), self.noise(noise_seed))

    def noise(self, seed: int | None) -> list[Tensor]:
        """Three maps (1, 1, d, h, w) per stage: one before the upsampling, two after."""
        source, maps = noise_source(seed), []
        for stage in range(self.stages):
            for power in (stage, stage + 1, stage + 1):
                edges = [edge * 2**power for edge in self.base]
                maps.append(torch.randn(1, 1, *edges, generator=source).to(self.of("synthesis.constant")))
        return maps

    def decode(self, w: Tensor, noise: Sequence[Tensor]) -> Tensor:
        """(n, num_styles, w_dim) and noise maps -> (n, 1, *shape) in [0, 1]."""
        w = w.to(self.of("synthesis.constant"))
        x = self.of("synthesis.constant")[None].repeat(len(w), 1, 1, 1, 1)
        index = 0
        for stage in range(self.stages):
            for part in ("first", "upsample", "last"):
                if part == "upsample":
                    x = F.interpolate(x, scale_factor=2)
                x = self._styled(f"synthesis.stages.{stage}.{part}", x, w[:, index], noise[index])
                index += 1
        return torch.sigmoid(self.conv(f"synthesis.to_image.{self.stages - 1}", x, gain=1.0))

    def _styled(self, name: str, x: Tensor, w: Tensor, noise: Tensor) -> Tensor:
        """Convolution with weights modulated and demodulated to norm sqrt(2), then noise, bias and LReLU."""
        style = self.dense(f"{name}.affine", w, gain=1.0)
        shared = equalised(self.of(f"{name}.weight"), gain=1.0)
        rows = []
        for k in range(len(x)):
            weight = shared * style[k][None, :, None, None, None]
            norm = weight.square().sum((1, 2, 3, 4), keepdim=True).add(1e-8).sqrt()
            rows.append(F.conv3d(x[k : k + 1], 2**0.5 * weight / norm, padding=1))
        x = torch.cat(rows) + self.of(f"{name}.noise_scale") * noise
        return F.leaky_relu(x + self.of(f"{name}.bias")[None, :, None, None, None], 0.2)

    def encode(self, volume: Tensor) -> Tensor:
        """(n, 1, *shape) -> (n, num_styles, w_dim), the same row for each style."""
        w = self.reversed(volume)
        for layer in range(self.count("encoder.dense")):
            w = F.leaky_relu(self.dense(f"encoder.dense.{layer}", w), 0.2)
        return w[:, None].expand(-1, 3 * self.stages, -1)
