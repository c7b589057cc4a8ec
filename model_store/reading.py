"""What a model's small files say: card.json and directions, from bytes. No torch."""

from pydantic import BaseModel, ValidationError

from model_store.card import CARD, WEIGHTS, AnyCard, DirectionCard, ModelCard
from model_store.faults import FolderFault, first_fault
from model_store.integrity import has_plain_names
from model_store.sizes.table import FAMILIES, sizes_of

CARD_LIMIT_BYTES = 2**20
DIRECTION_LIMIT_BYTES = 4 * 2**20
DIRECTIONS_LIMIT_BYTES = 64 * 2**20
"""Of one model's directions together; those beyond it are left out."""

Stamp = tuple[tuple[str | int, ...], ...]
"""Changes with a model's files."""


class _Head(BaseModel):
    """What tells whose card it is."""

    family: str = ""


def parse_card(name: str, data: bytes) -> AnyCard:
    """The card of the model that lies under a name.

    Raises:
        FolderFault: not JSON, not a card, another model's card, a family this version cannot build, or a network that
            the family does not have.
    """
    try:
        family = FAMILIES.get(_Head.model_validate_json(data).family)
        card: AnyCard = (family.card if family else ModelCard).model_validate_json(data)
    except ValidationError as err:
        raise FolderFault(f"{CARD} is not valid{first_fault(err)}") from err
    if card.name != name:
        raise FolderFault(f"{CARD} carries another name, {card.name}, than its folder, {name}")
    if WEIGHTS not in card.files:
        raise FolderFault(f"{CARD} names no {WEIGHTS}")
    if not has_plain_names(card):
        raise FolderFault(f"{CARD} lists a file whose name is not a plain file name")
    sizes_of(card)
    return card


def parse_direction(stem: str, data: bytes, card: AnyCard) -> DirectionCard | None:
    """A direction made for exactly these weights and named like its file; a stale or malformed one is none."""
    try:
        direction = DirectionCard.model_validate_json(data)
    except ValidationError:
        return None
    return direction if direction.fits(card) and direction.name == stem else None
