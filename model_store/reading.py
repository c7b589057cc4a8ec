"""What a model's small files say: card.json and directions, from bytes. No torch."""

from pydantic import ValidationError

from model_store.card import WEIGHTS, DirectionCard, ModelCard
from model_store.integrity import BrokenModel, has_plain_names

FAMILIES = frozenset({"hagan", "progan", "split-shuffle", "stylegan", "stylegan3d"})
"""What load.py can build; named here because the front end lists models without torch."""
CARD = "card.json"
CARD_LIMIT_BYTES = 2**20
DIRECTION_LIMIT_BYTES = 4 * 2**20

Stamp = tuple[tuple[str | int, ...], ...]
"""Changes with a model's files."""


def parse_card(name: str, data: bytes) -> ModelCard:
    """The card of the model that lies under a name.

    Raises:
        BrokenModel: not JSON, not a card, another model's card, or a family this version cannot build.
    """
    try:
        card = ModelCard.model_validate_json(data)
    except ValidationError as err:
        raise BrokenModel(f"card.json is not valid{_first_fault(err)}") from err
    if card.name != name:
        raise BrokenModel(f"card.json carries another name, {card.name}, than its folder, {name}")
    if card.family not in FAMILIES:
        raise BrokenModel("card.json is of a family that this version does not know")
    if WEIGHTS not in card.files:
        raise BrokenModel(f"card.json names no {WEIGHTS}")
    if not has_plain_names(card):
        raise BrokenModel("card.json lists a file whose name is not a plain file name")
    return card


def _first_fault(err: ValidationError) -> str:
    """An unknown field before all else: misspelt, it is the reason why another one is missing."""
    errors = err.errors(include_input=False, include_url=False)
    first = next((error for error in errors if error["type"] == "extra_forbidden"), errors[0])
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f" at {place}: there is no field of that name"
    return f" at {place}: {first['msg']}" if place else f": {first['msg']}"


def parse_direction(stem: str, data: bytes, card: ModelCard) -> DirectionCard | None:
    """A direction made for exactly these weights and named like its file; a stale or malformed one is none."""
    try:
        direction = DirectionCard.model_validate_json(data)
    except ValidationError:
        return None
    return direction if direction.fits(card) and direction.name == stem else None
