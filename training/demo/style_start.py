"""Supervised start of the shipped style model, for machines where adversarial training from scratch is out of reach.

Not part of the paper (docs/decisions/0022). w is given a meaning first (style_anatomy.py), and the synthesis learns by
heart what each w is to show: the learned constant holds the heads, and the styles, which are linear in w, choose among
its channels. One convolution to sub-voxels reads the volume from an early stage until the next one goes on from there.
The mapping and the encoder then learn w.

Several processes share each batch: on few and busy cores they get further than threads.
"""

import zlib
from collections.abc import Callable, Sequence
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model_store.networks.equalised import SLOPE, EqualisedLinear
from model_store.networks.reversed_encoder import ReversedEncoder
from model_store.networks.stylegan import STYLES_PER_STAGE, MappingNetwork, SynthesisNetwork
from training.demo.anatomy import bent
from training.demo.auto_decoder import AMPLITUDE, octave_loss, sub_voxels
from training.demo.style_anatomy import Heads, attributes_of, draw, milder
from training.demo.warm_start import NONE_BY_ADAM, ByAdam, Optimisers, Phase, adam, optimise
from training.engine.average import ParameterAverage
from training.engine.orthogonal import OrthogonalDescent
from training.engine.processes import Share, Tell
from training.progressive.networks import set_mean_style

CROSSOVER = 5
"""Styles before it carry geometry, the others appearance."""
_FURTHEST = 2.0
"""Deviations from the mean within which the encoder puts what it has not seen."""
_RIDGE, _UNCERTAIN = 3e-2, 0.1
"""Of the regression that the encoder ends in: its ridge, and the deviation of what it gives."""
_FURTHER = 4.0
"""How many times as far as the synthesis learned some scans are deformed that the encoder sees."""


def optimisers_of(networks: nn.Module, by_adam: ByAdam = NONE_BY_ADAM) -> Optimisers:
    """Orthogonalised momentum at ten times the rate for convolutions of several outputs, Adam at five for the rest.

    With equalised learning rates a stored weight is sqrt(fan in) times what convolves, and so is its step. `by_adam`:
    parameters, beside the networks', by the factor of the rate that Adam moves them at.
    """
    kernels = [p for p in networks.parameters() if p.ndim == 5 and p.shape[0] > 1]
    others = [p for p in networks.parameters() if p.ndim != 5 or p.shape[0] == 1]
    by_width: list[tuple[torch.optim.Optimizer, float]] = []
    for fan_in in sorted({p[0].numel() for p in kernels}):
        alike = [p for p in kernels if p[0].numel() == fan_in]
        by_width.append((OrthogonalDescent(alike, lr=0.0), 10.0 * fan_in**0.5))
    return [*by_width, (adam(others), 5.0), *((adam(group), factor) for factor, group in by_adam.items() if group)]


class Readers(nn.Module):
    """Volumes of four times the edges from the maps of stage 1, twice from those of stage 2; thrown away afterwards."""

    def __init__(self, channels: list[int]) -> None:
        super().__init__()
        self.stage1 = nn.Conv3d(channels[0], 64, 3, padding=1)
        self.stage2 = nn.Conv3d(channels[1], 8, 3, padding=1)

    def forward(self, maps: Tensor, stage: int) -> Tensor:
        return sub_voxels(self.get_submodule(f"stage{stage}")(maps))


@torch.no_grad()
def blind(synthesis: SynthesisNetwork, geometry: int) -> None:
    """Let the first styles not depend on the appearance, which lies behind `geometry` numbers of w.

    Nor the others on the geometry.
    """
    for index, conv in enumerate(synthesis.convolutions()):
        unseen = slice(geometry, None) if index < CROSSOVER else slice(geometry)
        conv.affine.weight[:, unseen] = 0


class StyleStart:
    """The phases over one mapping, one synthesis and one encoder."""

    def __init__(self, networks: nn.ModuleDict, heads: Heads, seed: int, share: Share, tell: Tell) -> None:
        self.networks, self.heads, self.seed, self.share, self.tell = networks, heads, seed, share, tell
        self.source = torch.Generator()
        for parameter in networks.parameters():
            if parameter.ndim == 5:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last_3d)

    @property
    def mapping(self) -> MappingNetwork:
        return self.networks["mapping"]  # type: ignore[return-value]

    @property
    def synthesis(self) -> SynthesisNetwork:
        return self.networks["synthesis"]  # type: ignore[return-value]

    @property
    def encoder(self) -> ReversedEncoder:
        return self.networks["encoder"]  # type: ignore[return-value]

    @property
    def edge(self) -> int:
        return self.heads.scans.size // 2

    def fit_stage(self, name: str, stage: int, phase: Phase, grown: tuple[int, int] | None) -> None:
        """The synthesis up to a stage, whose maps a reader makes a volume of; `grown`: see `_fit_volumes`."""
        readers: Readers = self.networks["readers"]  # type: ignore[assignment]
        reader = list(readers.get_submodule(f"stage{stage}").parameters())
        trained = nn.ModuleList(self.synthesis.stages[:stage])
        self._fit_volumes(name, phase, trained, lambda w: readers(self._maps(w, stage), stage), grown, reader)

    def fit_image(self, name: str, phase: Phase, alone: bool) -> None:
        """The volume that the synthesis itself makes: the last stage `alone`, or all of it."""
        *before, last = self.synthesis.stages
        trained = nn.ModuleList([*([] if alone else before), last, self.synthesis.to_image[-1]])

        def made(w: Tensor) -> Tensor:
            unit: Tensor = self.synthesis(w)
            return 2 * unit - 1

        self._fit_volumes(name, phase, trained, made, (0, 0), with_constant=not alone, amplitude=AMPLITUDE)

    def _maps(self, w: Tensor, stage: int) -> Tensor:
        """(n, num_styles, w_dim) -> what the last convolution of a stage makes."""
        x = self.synthesis.constant.repeat(len(w), 1, 1, 1, 1).contiguous(memory_format=torch.channels_last_3d)
        convolutions = self.synthesis.convolutions()[: STYLES_PER_STAGE * stage]
        for conv, row in zip(convolutions, w.unbind(1), strict=False):
            x = conv(x, row)
        return x

    def _fit_volumes(
        self,
        name: str,
        phase: Phase,
        trained: nn.Module,
        made_of: Callable[[Tensor], Tensor],
        grown: tuple[int, int] | None,
        reader: Sequence[nn.Parameter] = (),
        with_constant: bool = True,
        amplitude: float = 0.0,
    ) -> None:
        """Learn what w is to show. Shapes and lights grow between two steps from none to all; None: there are none.

        `amplitude`: see `octave_loss`. The averaged weights stay.
        """
        self._seed(name)
        step = 0

        def loss() -> Tensor:
            nonlocal step
            share = 0.0 if grown is None else min(1.0, max(0.0, (step - grown[0]) / max(1, grown[1] - grown[0])))
            step += 1
            attributes = milder(attributes_of(draw(phase.batch_size, self.source)), share)
            real = 2 * torch.stack([self.heads.of(row, self.edge) for row in attributes]) - 1
            return octave_loss(made_of(self._apart(self.heads.styles(attributes))), real, amplitude=amplitude)

        by_adam = {1.0: list(reader), 10.0: [self.synthesis.constant] if with_constant else []}
        self.synthesis.requires_grad_(False)
        for parameter in (*trained.parameters(), *by_adam[10.0]):
            parameter.requires_grad_(True)
        average = ParameterAverage(self.synthesis, 0.98)
        for _ in optimise(name, phase, optimisers_of(trained, by_adam), loss, self.tell, self.share):
            average.update()
        average.apply(self.synthesis)

    def _apart(self, w: Tensor) -> Tensor:
        """(n, w_dim) -> (n, num_styles, w_dim): geometry alone up to the crossover, appearance alone after it.

        What a style is not shown its affine map does not learn to read: it was nought there and stays so.
        """
        shown = torch.zeros(self.synthesis.num_styles, w.shape[1])
        shown[:CROSSOVER, : self.heads.geometry] = 1
        shown[CROSSOVER:, self.heads.geometry :] = 1
        return w[:, None] * shown

    def fit_mapping(self, phase: Phase) -> None:
        """z to w. Where one head ends and the next one begins it has to jump, and does so over a small stretch."""
        self._seed("mapping")

        def loss() -> Tensor:
            z = draw(phase.batch_size, self.source)
            return F.mse_loss(self.mapping(z), self.heads.styles(attributes_of(z)))

        trained = list(self.mapping.parameters())
        for _ in optimise("mapping", phase, [(adam(trained), 1.0)], loss, self.tell, self.share):
            pass
        set_mean_style(self.mapping)

    def fit_encoder(self, phase: Phase) -> None:
        """w of scans by descent, for the convolutions' sake; `solve_encoder` has the last word."""
        self._seed("encoder")
        self._encode_the_mean()

        def loss() -> Tensor:
            volumes, attributes = self._seen_by_the_encoder(phase.batch_size)
            return F.mse_loss(self.encoder(volumes), self.heads.styles(attributes))

        for _ in optimise("encoder", phase, optimisers_of(self.encoder), loss, self.tell, self.share):
            pass

    @torch.no_grad()
    def solve_encoder(self, scans: int) -> None:
        """What the dense layers read, by regression on `scans` scans in each process."""
        self._seed("encoder solved")
        features, wanted = [], []
        for index in range(scans):
            volumes, attributes = self._seen_by_the_encoder(1)
            features.append(self.encoder.features(volumes).half())
            wanted.append(self.heads.styles(attributes))
            self.tell("scans for the encoder", index + 1, scans, 0.0)
        seen, styles = self.share.gathered(torch.cat(features)), self.share.gathered(torch.cat(wanted))
        solve_latent(self.encoder, seen.float(), styles)

    def fit_decision(self, phase: Phase) -> None:
        """The encoder's dense layers: w of what the regression gives, which is a blend where a head is not known.

        Of a blend the nearest head, sized as all of it says: blends are drawn, a third of them of one head alone.
        """
        self._seed("decision")
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            for layer in self.encoder.dense:
                layer.reset_parameters()  # type: ignore[operator]

        def loss() -> Tensor:
            styles = self.heads.styles(attributes_of(draw(phase.batch_size, self.source)))
            blended = self.heads.blended(styles, self.source)
            found = blended + _UNCERTAIN * torch.randn(blended.shape, generator=self.source)
            for layer in self.encoder.dense:
                found = F.leaky_relu(layer(found), SLOPE)
            return F.mse_loss(found, styles)

        trained = list(self.encoder.dense.parameters())
        for _ in optimise("decision", phase, [(adam(trained), 1.0)], loss, self.tell, self.share):
            pass

    def _seen_by_the_encoder(self, count: int) -> tuple[Tensor, Tensor]:
        """(n, 1, e, e, e) volumes and (n, 6) attributes: half are sized further than the synthesis knows, half bent.

        A third are heads unknown to it, each with the attributes of the nearest one that it knows.
        """
        volumes, attributes = zip(*(self._example() for _ in range(count)), strict=True)
        return torch.stack(volumes), torch.stack(attributes)

    def _example(self) -> tuple[Tensor, Tensor]:
        attributes = attributes_of(draw(1, self.source))[0]
        further, bending, other = (torch.rand(3, generator=self.source) < torch.tensor([0.5, 0.5, 1 / 3])).tolist()
        if further:
            attributes[:2] *= _FURTHER
        place = None
        if other and self._nearest:
            known = list(self._nearest)
            place = known[int(torch.randint(len(known), (1,), generator=self.source))]
        volume = self.heads.of(attributes, self.edge, place)
        if bending:
            volume = bent(volume, self.source)
        if place is not None:
            attributes[:3] += self._nearest[place][:3]
            attributes[3] = self._nearest[place][3]
        return volume, attributes.clamp(-_FURTHEST, _FURTHEST)

    @cached_property
    def _nearest(self) -> dict[int, Tensor]:
        """Of each scan that the encoder alone sees: see `Scans.nearest_to`."""
        return {place: self.heads.scans.nearest_to(place) for place in self.heads.scans.others}

    @torch.no_grad()
    def _encode_the_mean(self) -> None:
        """Let the encoder begin near the mean of w for every volume, which is a head already."""
        set_mean_style(self.mapping)
        mean = self.mapping.mean_style
        last: EqualisedLinear = self.encoder.dense[-1]  # type: ignore[assignment]
        last.weight.mul_(0.1)
        last.bias.copy_(torch.where(mean > 0, mean, mean / SLOPE))  # before its LReLU

    def _seed(self, name: str) -> None:
        """Of one phase in this process."""
        self.source.manual_seed(zlib.crc32(f"{self.seed} {name} {self.share.rank}".encode()))


@torch.no_grad()
def solve_latent(encoder: ReversedEncoder, features: Tensor, styles: Tensor) -> None:
    """Ridge regression of w (n, w_dim) on the features (n, f) of n scans; the dense layers come after it."""
    centre, mean = features.mean(0), styles.mean(0)
    apart = features - centre
    products = apart @ apart.T
    ridge = _RIDGE * products.diagonal().mean() * torch.eye(len(products))
    weight = torch.linalg.solve(products + ridge, styles - mean).T @ apart
    encoder.latent.weight.copy_(weight / encoder.latent.scale)
    encoder.latent.bias.copy_(mean - weight @ centre)
