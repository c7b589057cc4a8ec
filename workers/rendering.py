"""From latents to volumes with one request's class, truncation and noise."""

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor

from jobs.requests import JobSource, LatentSource, SeedSource
from latents.sample import gaussian
from latents.truncate import toward_mean
from model_store.check import class_index
from volumes.grid import Grid, own_grid
from volumes.orientation import from_network
from volumes.volume import Volume
from workers.bench import Bench
from workers.steps import Event, Latent, Product, Stage


class Renderer:
    """A resident model with what one request sets. A volume depends on its latent, never on its neighbours."""

    def __init__(
        self,
        bench: Bench,
        model: str,
        class_label: int | str | None = None,
        truncation: float | None = None,
        noise: Literal["constant", "random"] = "constant",
    ) -> None:
        self.bench = bench
        self.generator = bench.generator(model)
        self.card = self.generator.card
        self.label = class_index(self.card, class_label) if class_label is not None else None
        self.is_default = truncation in (None, self.card.truncation.default)
        self.truncation = self.card.truncation.default if truncation is None else truncation
        self.noise = noise

    def draw(self, seed: int) -> Latent:
        """The z of a seed, under the request's truncation where that is a matter of drawing."""
        cuts = self.card.truncation.kind == "normal"
        z = gaussian(seed, self.card.latent.z_dim, self.truncation if cuts else None)
        # A seed alone stands for its latent only under the truncation that a request without one gets.
        return Latent("z", z, seed if self.is_default else None)

    def locate(self, source: SeedSource | LatentSource | JobSource) -> Latent:
        """The latent that a source means; jobs were resolved before the work began."""
        if isinstance(source, SeedSource):
            return self.draw(source.seed)
        if isinstance(source, JobSource):
            raise TypeError("a job source must be resolved to its seed or latent before it reaches a worker")
        return self.given(source.latent, source.space)

    def given(self, latent: Sequence[float] | Sequence[Sequence[float]], space: Literal["z", "w"]) -> Latent:
        """A latent from a request; one row of w stands for all styles."""
        values = torch.tensor(latent, dtype=torch.float32)
        if space == "w":
            sizes = self.card.latent
            values = values.reshape(-1, sizes.w_dim).expand(sizes.num_styles, -1).clone()
        return Latent(space, values)

    def styles(self, latent: Latent) -> Tensor:
        """(1, num_styles, w_dim) for `synthesise`. A given w is used as it is; psi acts on what the mapping made."""
        if latent.space == "w":
            return latent.values[None]
        w = self.generator.map(latent.values[None], self.label)
        psi = self.truncation if self.card.truncation.kind == "psi" else None
        return w if psi is None else toward_mean(w, self.generator.mean_style(), psi)

    def synthesise(self, latent: Latent, noise_seed: int | None = None) -> Tensor:
        """The volume (A0, A1, A2) in the network's range, float32 on the CPU."""

        def forward() -> Tensor:
            with torch.inference_mode():
                return self.generator.synthesise(self.styles(latent), noise_seed)[0, 0].cpu()

        array: Tensor = self.bench.attempt(forward, keep=self.card.name)
        return array

    def volume(self, latent: Latent, index: int = 0, grid: Grid | None = None) -> Volume:
        """The volume of a latent, on `grid` or else on the card's own, centred on the origin."""
        noise_seed = None
        if self.noise == "random":
            noise_seed = index if latent.seed is None else latent.seed
        array = self.synthesise(latent, noise_seed).numpy()
        place = grid or own_grid(self.card.shape, self.card.axes, self.card.spacing_mm)
        return Volume(from_network(array, self.card.axes), place.affine)

    def products(self, latents: Sequence[tuple[Latent, str | None]]) -> Iterator[Event]:
        """The volumes of latents with their labels, one by one, so that each is the same alone and among others."""
        for index, (latent, label) in enumerate(latents):
            yield Stage("forward", index, len(latents))
            yield Product(self.volume(latent, index), latent, label)
