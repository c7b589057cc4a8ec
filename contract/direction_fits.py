"""The fits: how a direction may be found. Each says what it draws, names and leaves behind."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from contract import fit
from contract.fields import NAME_PATTERN, Name, Part, Source
from contract.webhooks import Notifying
from model_store.card import ModelCard

MAX_GROUP = 2**53 - 1
MAX_RIDGE = 1e12


class MeasuredSample(Part):
    source: Source
    value: float
    group: Annotated[int, Field(ge=0, le=MAX_GROUP)] | None = None
    """The same number for samples of one subject: cross-validation keeps them together. Null: a group of its own."""


class Measure(Part):
    """A built-in measurement of a generated volume, in the card's stored units."""

    name: Literal["volume_above", "volume_below", "mean_intensity"]
    threshold: float | None = None

    @model_validator(mode="after")
    def _threshold_where_needed(self) -> Self:
        if (self.threshold is None) == self.name.startswith("volume"):
            raise ValueError("volume_above and volume_below take a threshold, mean_intensity takes none")
        return self


class _Fit(Notifying):
    """What a fit answers unless it says otherwise. Pointers are JSON pointers into its HTTP body."""

    @property
    def drawn(self) -> int:
        """Volumes that it makes to measure them."""
        return 0

    @property
    def directions(self) -> tuple[str, ...]:
        """Names of the directions that it makes."""
        return ()

    def sources(self) -> dict[str, Source]:
        """The samples that it is given, by pointer."""
        return {}

    def with_sources(self, sources: Mapping[str, Source]) -> Self:  # noqa: ARG002 -- a fit that names none is itself
        """The same with other sources under these pointers."""
        return self

    def check(self, card: ModelCard) -> None:
        """Raises: InvalidRequest, where the model has no such directions."""


class RegressionFit(_Fit):
    method: Literal["regression"]
    name: Name
    attribute: Annotated[str, Field(min_length=1, max_length=64)]
    samples: Annotated[list[MeasuredSample], Field(min_length=4, max_length=4096)] | None = None
    measure: Measure | None = None
    num_samples: Annotated[int, Field(ge=8, le=512)] = 64
    transform: Literal["none", "log"] = "none"
    """Of the attribute: log regresses its natural logarithm, which values above 0 have."""
    ridge: Annotated[float, Field(ge=0, le=MAX_RIDGE)] | Literal["cross-validation"] = 1e-4
    """Weight of the squared coefficients; or which of 1e-4 to 1e5 predicts samples best that a fit has not seen."""

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.samples is None) == (self.measure is None):
            raise ValueError("give either samples or measure")
        if self.samples is not None and len(set(self.groups)) < (3 if self.ridge == "cross-validation" else 2):
            raise ValueError(
                "cross-validation takes samples of two groups, of three where it chooses the ridge as well"
            )
        return self

    @property
    def groups(self) -> list[int]:
        """Of the samples that are given, one number each; those without a group have one of their own."""
        return [
            MAX_GROUP + 1 + k if sample.group is None else sample.group for k, sample in enumerate(self.samples or [])
        ]

    @property
    def drawn(self) -> int:
        return 0 if self.measure is None else self.num_samples

    @property
    def directions(self) -> tuple[str, ...]:
        return (self.name,)

    def sources(self) -> dict[str, Source]:
        return {f"/samples/{k}/source": sample.source for k, sample in enumerate(self.samples or [])}

    def with_sources(self, sources: Mapping[str, Source]) -> Self:
        if self.samples is None:
            return self
        pairs = zip(self.samples, sources.values(), strict=True)
        samples = [sample.model_copy(update={"source": source}) for sample, source in pairs]
        return self.model_copy(update={"samples": samples})

    def check(self, card: ModelCard) -> None:
        fit.check_samples(card, [sample.source.origin for sample in self.samples or []])


class SefaFit(_Fit):
    method: Literal["sefa"]
    name_prefix: Annotated[str, Field(pattern=NAME_PATTERN, max_length=48)]
    count: Annotated[int, Field(ge=1, le=32)] = 4
    unit_rows: bool = False
    """Whether the rows of the weights are scaled to length 1 before, as in the code of SeFa's authors."""

    @property
    def directions(self) -> tuple[str, ...]:
        return tuple(f"{self.name_prefix}-{k}" for k in range(1, self.count + 1))

    def check(self, card: ModelCard) -> None:
        fit.check_components(card, self.count)


Fit = Annotated[RegressionFit | SefaFit, Field(discriminator="method")]
"""Body of POST /models/{name}/directions."""
