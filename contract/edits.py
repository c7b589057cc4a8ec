"""The edits: what may be done to one latent. Each says how many volumes it makes and what else it names."""

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field

from contract import fit
from contract.fields import MAX_FLOAT32, MAX_LATENT_LENGTH, MAX_SAMPLES, Name, Number, Part, Source
from model_store.card import ModelCard


class _Edit(Part):
    """What an edit answers unless it says otherwise. Pointers are JSON pointers into the body of POST /edit."""

    stops_field: ClassVar[str] = "/model"
    """Which field says how many volumes there are."""

    @property
    def targets(self) -> Sequence[float]:
        """Values of its direction's attribute that it goes to; with some the direction must predict one."""
        return ()

    @property
    def stops(self) -> int:
        """Volumes that it makes."""
        return 1

    @property
    def follows(self) -> str | None:
        """Name of the direction along which it moves."""
        return None

    def ends(self) -> dict[str, Source]:
        """Sources beside the request's own, by pointer."""
        return {}

    def with_ends(self, ends: Mapping[str, Source]) -> Self:  # noqa: ARG002 -- an edit that names none is itself
        """The same with other sources under these pointers."""
        return self

    def check(self, card: ModelCard) -> None:
        """Raises: InvalidRequest, where the model cannot be edited so."""


class _Along(_Edit):
    """Moves along a direction."""

    direction: Name

    @property
    def follows(self) -> str | None:
        return self.direction


class _Toward(_Edit):
    """Goes to a second latent."""

    target: Source

    def ends(self) -> dict[str, Source]:
        return {"/edit/target": self.target}

    def with_ends(self, ends: Mapping[str, Source]) -> Self:
        return self.model_copy(update={"target": ends["/edit/target"]})


class MoveEdit(_Along):
    op: Literal["move"]
    strengths: Annotated[list[Number], Field(min_length=1, max_length=MAX_SAMPLES)]
    """In standard deviations of the latent along the unit direction."""
    stops_field: ClassVar[str] = "/edit/strengths"

    @property
    def stops(self) -> int:
        return len(self.strengths)


class TargetEdit(_Along):
    op: Literal["target"]
    values: Annotated[list[Number], Field(min_length=1, max_length=MAX_SAMPLES)]
    """Of the attribute, in its own units."""
    max_strength: Annotated[float, Field(gt=0, le=MAX_FLOAT32)] | None = None
    """How many standard deviations from the source a value may lie. Null: 12, which none of a model's samples is."""
    stops_field: ClassVar[str] = "/edit/values"

    @property
    def targets(self) -> Sequence[float]:
        return self.values

    @property
    def stops(self) -> int:
        return len(self.values)


class InterpolateEdit(_Toward):
    op: Literal["interpolate"]
    steps: Annotated[int, Field(ge=2, le=MAX_SAMPLES)]
    stops_field: ClassVar[str] = "/edit/steps"

    @property
    def stops(self) -> int:
        return self.steps


class MixEdit(_Toward):
    op: Literal["mix"]
    crossover: Annotated[int, Field(ge=0, le=MAX_LATENT_LENGTH)]
    """The source's styles in the first so many layers, the target's in the rest."""

    def check(self, card: ModelCard) -> None:
        fit.check_mix(card, self.crossover)


Edit = Annotated[MoveEdit | TargetEdit | InterpolateEdit | MixEdit, Field(discriminator="op")]
