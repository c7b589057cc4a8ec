"""What the user of an import says beside the files, checked before it becomes a card."""

import math
from collections.abc import Sequence
from typing import Any, Literal, TypeVar

from pydantic import ValidationError

from model_store.card import FEWEST_LEVELS, AnyCard, ModelCard, spans_space
from model_store.importers.jail import ImportRefused

C = TypeVar("C", bound=AnyCard)
Modality = Literal["CT", "MR"]


def check_geometry(axes: str, spacing_mm: Sequence[float], window: tuple[float, float]) -> None:
    """What the card's own types let through.

    Raises:
        ImportRefused: axes, voxel size or intensity range that no volume has.
    """
    if not spans_space(axes):
        raise ImportRefused("--axes needs three letters, one of each pair R/L, A/P, S/I, such as SPL.")
    if len(spacing_mm) != 3 or not all(math.isfinite(step) and step > 0 for step in spacing_mm):
        raise ImportRefused("The voxel size needs three positive numbers of millimetres.")
    if not (math.isfinite(window[0]) and math.isfinite(window[1]) and window[0] < window[1]):
        raise ImportRefused("--intensity needs two numbers, the lower one first.")
    if window[1] - window[0] < FEWEST_LEVELS:
        raise ImportRefused(
            "--intensity is so narrow that whole numbers would lose the picture; scale it, as to 0 255."
        )


def class_names(classes: Sequence[str] | None, count: int) -> list[str]:
    """The given names, or the class numbers.

    Raises:
        ImportRefused: names that do not tell the classes apart.
    """
    names = [str(index) for index in range(count)] if classes is None else [name.strip() for name in classes]
    if len(set(names)) != len(names) or not all(0 < len(name) <= 64 and name.isprintable() for name in names):
        raise ImportRefused("--classes needs different names of 1 to 64 printable characters.")
    return names


def complete(fields: dict[str, Any]) -> ModelCard:
    """As `complete_as`, of a generator."""
    return complete_as(ModelCard, fields)


def complete_as(kind: type[C], fields: dict[str, Any]) -> C:
    """The card of these fields.

    Raises:
        ImportRefused: the first field that a card cannot have.
    """
    try:
        return kind.model_validate(fields)
    except ValidationError as err:
        first = err.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ImportRefused(f"The card cannot be made: {where}: {first['msg']}.") from err
