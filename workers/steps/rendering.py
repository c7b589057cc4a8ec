"""From latents to volumes with one request's class, truncation and noise."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from contract.fields import JobSource, LatentSource, SeedSource
from contract.fit import class_index
from latents.sample import gaussian
from latents.truncate import toward_mean
from model_store.features.reference import Reference, Score
from volumes.grids.grid import Grid, own_grid
from volumes.orientation import from_network
from volumes.volume import Volume
from workers.bench import Bench
from workers.device.gpu_to_host import Landing
from workers.steps.recipe_events import Event, Finished, Latent, Product, Stage, are_there
from workers.steps.scoring import Scorer


class Renderer:
    """A resident model with what one request sets. A volume depends on its latent, never on its neighbours."""

    def __init__(
        self,
        bench: Bench,
        model: str,
        class_label: int | str | None = None,
        truncation: float | None = None,
        cutoff: int | None = None,
        noise: Literal["constant", "random"] = "constant",
        noise_seed: int | None = None,
        is_scored: bool = False,
    ) -> None:
        self.bench = bench
        self.generator = bench.generator(model)
        self.card = self.generator.card
        self.label = class_index(self.card, class_label) if class_label is not None else None
        own = self.card.truncation
        self.truncates_styles = own.kind == "psi"
        self.is_asked = not (truncation is None and cutoff is None)
        self.is_default = truncation in (None, own.default) and cutoff in (None, own.cutoff)
        self.truncation = own.default if truncation is None else truncation
        self.cutoff = own.cutoff if cutoff is None else cutoff
        self.noise, self._noise_seed = noise, noise_seed
        self._landing = Landing()
        self.is_stale = False
        """Whether volumes should have a score, and this version lacks the features of the model's reference."""
        self._scorer = self._scorer_of(self.generator.reference) if is_scored else None

    def draw(self, seed: int) -> Latent:
        """The latent of a seed: z, or the style where the request truncates it otherwise than the card does."""
        level = None if self.truncates_styles else self.truncation
        # A seed alone stands for its latent only under the truncation that a request without one gets.
        latent = Latent("z", gaussian(seed, self.card.latent.z_dim, level), seed if self.is_default else None)
        return self._lasting(latent)

    def locate(self, source: SeedSource | LatentSource | JobSource) -> Latent:
        """The latent that a source means; jobs were resolved before the work began."""
        if isinstance(source, SeedSource):
            return self.draw(source.seed)
        if isinstance(source, JobSource):
            raise TypeError("a job source must be resolved to its seed or latent before it reaches a worker")
        return self.given(source.latent, source.space)

    def given(self, latent: Sequence[float] | Sequence[Sequence[float]], space: Literal["z", "w"]) -> Latent:
        """A latent from a request. One row of w stands for all styles; psi acts on a w where it is asked for."""
        values = torch.tensor(latent, dtype=torch.float32)
        if space == "z":
            return self._lasting(Latent("z", values))
        sizes = self.card.latent
        w = values.reshape(-1, sizes.w_dim).expand(sizes.num_styles, -1).clone()
        return Latent("w", self._truncated(w, self.mean_style()) if self.is_asked else w)

    def in_style_space(self, latent: Latent) -> Latent:
        """The same point as a style w (num_styles, w_dim) on the CPU; of a model with a style space."""
        if latent.space == "w":
            return latent
        return replace(latent, space="w", values=self.styles(latent)[0].cpu(), seed=None)

    def mean_style(self) -> Tensor:
        """(num_styles, w_dim), on the CPU."""
        return self.generator.mean_style().float().cpu()

    def styles(self, latent: Latent) -> Tensor:
        """(1, num_styles, w_dim) for `synthesise`. A w is used as it is; psi acts on what the mapping made."""
        if latent.space == "w":
            return latent.values[None]
        w = self.generator.map(latent.values[None], self.label)
        return self._truncated(w, self.generator.mean_style()) if self.truncates_styles else w

    def with_noise(self, latent: Latent, k: int = 0, own_seed: int | None = None) -> Latent:
        """The latent as sample k of the request, with the seed of its noise (docs/decisions/0020)."""
        if self.noise == "constant":
            return latent
        return replace(latent, noise_seed=own_seed if self._noise_seed is None else self._noise_seed + k)

    def volume(self, latent: Latent, grid: Grid | None = None) -> Volume:
        """The volume of a latent, on `grid` or else on the card's own, centred on the origin."""
        return self.scored(latent, grid)[0]

    def scored(self, latent: Latent, grid: Grid | None = None) -> tuple[Volume, Score | None]:
        """The same with its score, where this request's volumes have one."""

        def forward() -> tuple[Tensor, Score | None]:
            made, score = self._made(latent)
            return made.cpu(), score

        array, score = self.bench.attempt(forward, keep=self.card.name)
        return self._placed(array, grid), score

    def product(self, latent: Latent, label: str | None = None) -> Product:
        """The same as a product. From a GPU its voxels are still on their way, so that it is free for the next one."""
        found = self.likely(latent, 0.0, label)
        if not isinstance(found, Product):
            raise TypeError("no realism is under 0")
        return found

    def likely(self, latent: Latent, least: float, label: str | None = None) -> Product | Score:
        """The product of a latent, or its score where its realism is under `least`."""

        def forward() -> tuple[Tensor, Score | None, Callable[[], None]] | Score:
            made, score = self._made(latent)
            if score is not None and score.realism < least:
                return score
            array, await_voxels = self._landing.fetch(made) if made.is_cuda else (made, are_there)
            return array, score, await_voxels

        found = self.bench.attempt(forward, keep=self.card.name)
        if isinstance(found, Score):
            return found
        array, score, await_voxels = found
        return Product(self._placed(array), latent, label, await_voxels, score)

    def _made(self, latent: Latent) -> tuple[Tensor, Score | None]:
        """The volume (A0, A1, A2) in the network's range, float32 on the device."""
        with torch.inference_mode():
            made = self.generator.synthesise(self.styles(latent), latent.noise_seed)[0, 0]
            return made, None if self._scorer is None else self._scorer.score(made)

    def _placed(self, array: Tensor, grid: Grid | None = None) -> Volume:
        place = grid or own_grid(self.card.shape, self.card.axes, self.card.spacing_mm)
        return Volume(from_network(array.numpy(), self.card.axes), place.affine)

    def _scorer_of(self, reference: Reference | None) -> Scorer | None:
        try:
            return None if reference is None else Scorer(self.card, reference, self.bench.device)
        except LookupError:
            self.is_stale = True
            return None

    def products(self, latents: Sequence[tuple[Latent, str | None]], finished: int = 0) -> Iterator[Event]:
        """The volumes of latents with their labels, one by one, so that each is the same alone and among others.
        The first `finished` are there already."""
        yield from (Finished(latent) for latent, _ in latents[:finished])
        for index, (latent, label) in enumerate(latents[finished:], finished):
            yield Stage("forward", index, len(latents))
            yield self.product(latent, label)

    def _truncated(self, w: Tensor, mean: Tensor) -> Tensor:
        return w if self.truncation is None else toward_mean(w, mean, self.truncation, self.cutoff)

    def _lasting(self, latent: Latent) -> Latent:
        """As w where psi is not the card's: z alone would not name the truncated sample."""
        return latent if self.is_default or not self.truncates_styles else self.in_style_space(latent)
