"""The requests: frozen pydantic models, JSON in and out, one per kind of job.

Each answers for itself: how much it makes, what it names, what it needs of a model. Whoever handles jobs asks the
request, and never which kind it is.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from contract import fit
from contract.direction_fits import Fit
from contract.edits import Edit
from contract.fields import (
    MAX_LATENT_LENGTH,
    MAX_SAMPLES,
    ClassLabel,
    JobSource,
    Latent,
    LatentSource,
    LatentSpace,
    Noise,
    OneAsList,
    Origin,
    OutputOptions,
    PreprocessOptions,
    Seed,
    SeedSource,
    Series,
    Source,
)
from contract.job_request import JobRequest
from contract.seeds import drawn_seed
from contract.state import JobKind
from model_store.card import AnyCard, ModelCard, Task, Verb

MOST_REJECTED = 10.0
"""Realism is 1 where a volume lies among the scans, and ten times that no model's volumes have."""
EDGE_VALUES, MASK_VALUES = (0.0, 255.0), (0.0, 4.0)
"""Of an edge image, and of a mask: background and four kinds of tissue."""


class _Rendering(JobRequest):
    """What all requests share that render volumes from latents."""

    goes_on: ClassVar[bool] = True

    truncation: Annotated[float, Field(ge=0)] | None = None
    """As the model's card says: psi, or the level of a cut normal."""
    truncation_cutoff: Annotated[int, Field(ge=1, le=MAX_LATENT_LENGTH)] | None = None
    """psi acts on the first so many styles."""
    class_label: ClassLabel | None = None
    """Class of a conditional model."""
    noise: Noise = "constant"
    """Of families with noise inputs."""
    noise_seed: Seed | None = None
    """Of random noise: sample k takes noise_seed + k, all volumes of an edit the same. Without one it is the seed that
    they are made from."""
    score: bool | None = None
    """Whether each volume is held against the scans of its model's reference. Without it, where that costs little."""
    output: OutputOptions = OutputOptions()

    @model_validator(mode="after")
    def _noise_is_named_once(self) -> Self:
        if self.noise_seed is not None and self.noise == "constant":
            raise ValueError("noise_seed goes with noise random")
        return self

    def origins(self) -> list[Origin]:
        """What its volumes are made from."""
        return [source.origin for source in self.sources().values()]

    def check_generator(self, card: ModelCard) -> None:
        # A style holds its class already; z goes to the network with it.
        is_styled = card.latent.has_style_space and set(self.origins()) == {"w"}
        fit.check_class(card, self.class_label, is_read=not is_styled)
        fit.check_truncation(card, self.truncation, self.truncation_cutoff, self.origins())
        fit.check_noise(card, self.noise)
        fit.check_score(card, {"/score": self.score})
        fit.check_output(self.output, *fit.made_by(card))

    def is_scored(self, card: ModelCard) -> bool:
        """Whether its volumes are held against the model's reference."""
        return fit.is_scored(card, self.score)

    def told(self) -> dict[str, Any]:
        names = ("class_label", "truncation", "truncation_cutoff", "noise")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


class GenerateRequest(_Rendering):
    """Body of POST /generate: make num_samples volumes from seeds or latents."""

    kind: ClassVar[JobKind] = "generate"
    verb: ClassVar[Verb] = "generate"
    path: ClassVar[str] = "/generate"

    num_samples: Annotated[int, Field(ge=1, le=MAX_SAMPLES)] = 1
    seed: Seed | None = None
    seeds: Annotated[list[Seed], Field(min_length=1, max_length=MAX_SAMPLES)] | None = None
    latents: Annotated[list[Latent], Field(min_length=1, max_length=MAX_SAMPLES), OneAsList] | None = None
    latent_space: LatentSpace = "z"
    reject_below: Annotated[float, Field(gt=0, le=MOST_REJECTED)] | None = None
    """Draw a sample again, with other seeds, while its realism is less than this: at most 10 times in all."""

    @model_validator(mode="after")
    def _rejects_what_is_drawn(self) -> Self:
        if self.reject_below is not None and self.latents:
            raise ValueError("reject_below draws other seeds; it does not go with latents")
        if self.reject_below is not None and self.score is False:
            raise ValueError("reject_below needs the score that score false leaves out")
        return self

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        given = [name for name in ("seed", "seeds", "latents") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"give one of seed, seeds, latents; got {' and '.join(given)}")
        listed = self.seeds or self.latents
        if listed and "num_samples" in self.model_fields_set and self.num_samples != len(listed):
            raise ValueError(f"num_samples differs from the number of entries in {given[0]}")
        return self

    @property
    def samples(self) -> int:
        listed = self.seeds or self.latents
        return len(listed) if listed else self.num_samples

    @property
    def volumes(self) -> int:
        return self.samples

    @property
    def volumes_field(self) -> str:
        return next((f"/{name}" for name in ("seeds", "latents") if getattr(self, name)), "/num_samples")

    def origins(self) -> list[Origin]:
        return [self.latent_space if self.latents else "seed"]

    @property
    def reads_reference(self) -> bool:
        return self.reject_below is not None

    def is_scored(self, card: ModelCard) -> bool:
        return fit.is_scored(card, True if self.reads_reference else self.score)

    def settled(self) -> Self:
        """Random noise (docs/decisions/0020): a sample made from a seed takes that seed for its noise too, unless the
        request names a `noise_seed`; for samples from latents one is drawn."""
        changes: dict[str, Any] = {"num_samples": self.samples}
        seed = self.seed
        if seed is None and self.seeds is None and self.latents is None:
            seed = changes["seed"] = drawn_seed()
        if self.noise == "random" and self.noise_seed is None and self.seeds is None:
            changes["noise_seed"] = drawn_seed() if seed is None else seed
        return self.model_copy(update=changes)

    def check_generator(self, card: ModelCard) -> None:
        latents = enumerate(self.latents or [])
        fit.check_latents(card, ((f"/latents/{k}", latent, self.latent_space) for k, latent in latents))
        fit.check_score(card, {"/reject_below": self.reject_below})
        super().check_generator(card)


class EditRequest(_Rendering):
    """Body of POST /edit: one latent, changed."""

    kind: ClassVar[JobKind] = "edit"
    verb: ClassVar[Verb] = "edit"
    path: ClassVar[str] = "/edit"

    source: Source
    edit: Edit

    @property
    def samples(self) -> int:
        return self.edit.stops

    @property
    def volumes(self) -> int:
        return self.edit.stops

    @property
    def volumes_field(self) -> str:
        return self.edit.stops_field

    @property
    def placed_by(self) -> Source | None:
        return self.source

    @property
    def follows(self) -> str | None:
        return self.edit.follows

    @property
    def targets(self) -> Sequence[float]:
        return self.edit.targets

    def sources(self) -> dict[str, Source]:
        return {"/source": self.source, **self.edit.ends()}

    def with_sources(self, sources: Mapping[str, Source]) -> Self:
        return self.model_copy(update={"source": sources["/source"], "edit": self.edit.with_ends(sources)})

    def alters(self, card: AnyCard, source: Source) -> bool:
        own, level, cutoff = fit.generator_card(card, self.verb).truncation, self.truncation, self.truncation_cutoff
        if source.origin == "w":  # psi would act a second time
            return level is not None or cutoff is not None
        is_same = level in (None, own.default) and cutoff in (None, own.cutoff)
        return not is_same and (own.kind == "psi" or source.origin == "seed")

    def settled(self) -> Self:
        if self.noise == "constant" or self.noise_seed is not None:
            return self
        drawn = self.source.seed if isinstance(self.source, SeedSource) else drawn_seed()
        return self.model_copy(update={"noise_seed": drawn})

    def check_generator(self, card: ModelCard) -> None:
        fit.check_latents(card, _latents(self.sources()))
        super().check_generator(card)
        self.edit.check(card)


class EncodeRequest(JobRequest):
    """The `request` part of POST /encode: a scan (the upload, or the volume that `source` names) to its latent."""

    kind: ClassVar[JobKind] = "encode"
    verb: ClassVar[Verb] = "encode"
    path: ClassVar[str] = "/encode"
    takes_scan: ClassVar[bool] = True

    source: Source | None = None
    series: Series | None = None
    """Number of the series that is meant, where a DICOM archive holds several."""
    refine_steps: Annotated[int, Field(ge=0, le=1000)] = 0
    """Of descent from the encoder's guess. A model without an encoder starts at its mean latent, where 0 means 100."""
    reconstruct: bool = False
    class_label: ClassLabel | None = None
    preprocess: PreprocessOptions = PreprocessOptions()
    output: OutputOptions = OutputOptions()

    @property
    def volumes(self) -> int:
        """The reconstruction on the model's grid and on the scan's own."""
        return 2 if self.reconstruct else 0

    @property
    def scan_source(self) -> Source | None:
        return self.source

    @property
    def scan_series(self) -> int | None:
        return self.series

    def tasks(self, *, has_encoder: bool) -> Set[Task]:
        # Without an encoder a latent is found by descent alone.
        found: Task = "refine" if self.refine_steps or not has_encoder else "encode"
        return {found, "synthesise"} if self.reconstruct or self._is_made_here else {found}

    def check_generator(self, card: ModelCard) -> None:
        if self.refine_steps or not card.has_encoder:
            fit.check_open(card, "refine")
        fit.check_latents(card, _latents({"/source": self.source} if self.source else {}))
        fit.check_class(card, self.class_label, is_read=self._reads_class(card))
        fit.check_output(self.output, *fit.made_by(card))

    def told(self) -> dict[str, Any]:
        return {} if self.class_label is None else {"class_label": self.class_label}

    @property
    def _is_made_here(self) -> bool:
        """Whether the scan is a volume that the worker makes first."""
        return self.source is not None and self.source.origin != "job"

    def _reads_class(self, card: ModelCard) -> bool:
        """An encoder does not read the class; only what renders z does."""
        if self.source is not None and self.source.origin in ("seed", "z"):
            return True
        renders = self.reconstruct or self.refine_steps > 0 or not card.has_encoder
        return renders and not card.latent.has_style_space


class TranslateRequest(JobRequest):
    """The `request` part of POST /translate: a scan, or the volume that `source` names, in another appearance."""

    kind: ClassVar[JobKind] = "translate"
    verb: ClassVar[Verb] = "translate"
    path: ClassVar[str] = "/translate"
    takes_scan: ClassVar[bool] = True
    is_on_scan: ClassVar[bool] = True

    source: JobSource | None = None
    series: Series | None = None
    """Number of the series that is meant, where a DICOM archive holds several."""
    edges: Literal["computed", "given"] = "computed"
    """given: the scan is an edge image itself, with values from 0 to 255."""
    grid: Literal["scan", "cube"] | None = None
    """Of the networks: in the scan's proportions or stretched to a cube; null takes the card's. The result lies on the
    scan's own grid either way."""
    output: OutputOptions = OutputOptions()

    @property
    def volumes(self) -> int:
        return 1

    @property
    def scan_source(self) -> Source | None:
        return self.source

    @property
    def scan_series(self) -> int | None:
        return self.series

    @property
    def scan_values(self) -> tuple[float, float] | None:
        return EDGE_VALUES if self.edges == "given" else None

    def tasks(self, *, has_encoder: bool) -> Set[Task]:  # noqa: ARG002
        return {"translate"}

    def check(self, card: AnyCard) -> None:
        fit.translator_card(card, self.verb)

    def check_scan(self, shape: tuple[int, int, int], spacing_mm: Sequence[float]) -> None:
        fit.check_patch(shape)
        fit.check_output(self.output, shape, spacing_mm)

    def told(self) -> dict[str, Any]:
        return {"edges": self.edges} | ({} if self.grid is None else {"grid": self.grid})


class FitDirectionRequest(JobRequest):
    """A fit with the model's name from the path (the HTTP body holds `fit`'s fields alone)."""

    kind: ClassVar[JobKind] = "fit_direction"
    verb: ClassVar[Verb] = "edit"
    path: ClassVar[str] = "/models/{model}/directions"
    body_field: ClassVar[str | None] = "fit"
    gives_volumes: ClassVar[bool] = False

    fit: Fit

    @property
    def samples(self) -> int:
        return max(1, self.fit.drawn)

    @property
    def directions(self) -> tuple[str, ...]:
        return self.fit.directions

    @property
    def notifies(self) -> str | None:
        return self.fit.webhook

    @property
    def output(self) -> OutputOptions:
        """It stores no volume."""
        return OutputOptions()

    def sources(self) -> dict[str, Source]:
        return self.fit.sources()

    def with_sources(self, sources: Mapping[str, Source]) -> Self:
        return self.model_copy(update={"fit": self.fit.with_sources(sources)})

    def tasks(self, *, has_encoder: bool) -> Set[Task]:  # noqa: ARG002
        return {"synthesise"} if self.fit.drawn else set()

    def check_generator(self, card: ModelCard) -> None:
        fit.check_latents(card, _latents(self.sources()))
        self.fit.check(card)


def _latents(sources: Mapping[str, Source]) -> Iterator[tuple[str, Latent, LatentSpace]]:
    """Those among sources that are spelt out."""
    for pointer, source in sources.items():
        if isinstance(source, LatentSource):
            yield f"{pointer}/latent", source.latent, source.space


AnyRequest = GenerateRequest | EncodeRequest | EditRequest | TranslateRequest | FitDirectionRequest
REQUESTS: dict[str, type[AnyRequest]] = {
    cls.kind: cls for cls in (GenerateRequest, EncodeRequest, EditRequest, TranslateRequest, FitDirectionRequest)
}
