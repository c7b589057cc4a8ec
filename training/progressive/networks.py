"""The bone paper's generators as training sees them: z in, a volume of any stage out."""

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor, nn

from model_store.networks.progan import ProGANGenerator
from model_store.networks.stylegan import MappingNetwork, SynthesisNetwork
from training.progressive.config import ProGANConfig, StyleGANConfig

MEAN_SAMPLES = 8192


class Growing(Protocol):
    """A generator whose state_dict has the keys of a model folder's weight file."""

    def __call__(self, z: Tensor, stage: int, alpha: float, noise: Iterator[Tensor]) -> Tensor:
        """(n, z_dim) -> (n, 1, *stage shape) in [0, 1]."""

    def draw_noise(self, count: int, stage: int, source: torch.Generator) -> Iterator[Tensor]:
        """Standard normal maps (count, 1, *edges), where the generator reads some."""


class GrowingProGAN(nn.Module):
    def __init__(self, config: ProGANConfig) -> None:
        super().__init__()
        self.generator = ProGANGenerator(config.base, config.widths, config.z_dim)

    def forward(self, z: Tensor, stage: int, alpha: float, noise: Iterator[Tensor]) -> Tensor:  # noqa: ARG002
        volume: Tensor = self.generator(z, stage, alpha)
        return volume

    def draw_noise(self, count: int, stage: int, source: torch.Generator) -> Iterator[Tensor]:  # noqa: ARG002
        """It reads none."""
        return iter(())

    def rates(self, rate: float) -> list[dict[str, object]]:
        """Parameter groups for Adam."""
        return [{"params": list(self.parameters()), "lr": rate}]

    def finish(self) -> None:
        """Nothing is measured after training."""


class GrowingStyleGAN(nn.Module):
    def __init__(self, config: StyleGANConfig) -> None:
        super().__init__()
        self.mapping = MappingNetwork(config.z_dim, config.w_dim, config.mapping_layers)
        self.synthesis = SynthesisNetwork(config.base, config.widths, config.w_dim)
        self.mapping_rate = config.mapping_rate

    def forward(self, z: Tensor, stage: int, alpha: float, noise: Iterator[Tensor]) -> Tensor:
        w = self.mapping(z)[:, None].expand(-1, self.synthesis.num_styles, -1)
        volume: Tensor = self.synthesis(w, noise, stage, alpha)
        return volume

    def draw_noise(self, count: int, stage: int, source: torch.Generator) -> Iterator[Tensor]:
        """For each convolution."""
        return self.synthesis.draw_noise(count, stage, source)

    def rates(self, rate: float) -> list[dict[str, object]]:
        """Parameter groups for Adam: the mapping learns at a fraction of the rate (appendix B)."""
        return [
            {"params": list(self.synthesis.parameters()), "lr": rate},
            {"params": list(self.mapping.parameters()), "lr": rate * self.mapping_rate},
        ]

    def finish(self) -> None:
        """Measure the mean of Phi (section 4.1), which truncation by psi moves toward."""
        set_mean_style(self.mapping)


@torch.no_grad()
def set_mean_style(mapping: MappingNetwork) -> None:
    """Store the mean of Phi over fixed latents."""
    z_dim = mapping.layers[0].in_features
    z = torch.randn(MEAN_SAMPLES, z_dim, generator=torch.Generator().manual_seed(0))  # type: ignore[call-overload]
    mapping.mean_style.copy_(mapping(z.to(mapping.mean_style.device)).mean(0))
