"""A finished model folder put beside the others, and what people may write in a card afterwards. No torch."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from model_store.card import CARD, AnyCard
from model_store.faults import FolderFault, Refusal
from model_store.folder import replacing, staged
from model_store.integrity import sha256_of
from model_store.reading import parse_card

DIRECTIONS = "directions"
WRITABLE = ("title", "anatomy", "licence")
"""What of a card decides nothing but what people read."""


class NotAModel(Refusal):
    """A folder that holds no model, or one whose files are not those of its card."""


def card_in(folder: Path) -> AnyCard:
    """The card of a model's folder, whatever the folder is called. Raises: NotAModel."""
    try:
        data = (folder / CARD).read_bytes()
    except OSError as err:
        raise NotAModel(f"{folder} is not the folder of a model: there is no {CARD}") from err
    try:
        return parse_card(folder.resolve().name, data)
    except FolderFault as err:
        raise NotAModel(f"{folder} holds no sound model: {err.detail}") from err


def adopt(folder: Path, root: Path, name: str, texts: Mapping[str, str], force: bool) -> AnyCard:
    """Copy a model folder into `root` under a name, with what people write in its card; the original stays.

    Raises:
        NotAModel: its files are not those of its card.
        NotWritten: a model of that name is there and `force` does not hold, or it cannot be written.
    """
    card = card_in(folder)
    with staged(root, name, force) as new:
        for file in card.files:
            shutil.copyfile(folder / file, new / file)
            if sha256_of(new / file) != card.files[file]:
                raise NotAModel(f"{folder} holds no sound model: {file} is not the file of its card")
        if (folder / DIRECTIONS).is_dir():
            shutil.copytree(folder / DIRECTIONS, new / DIRECTIONS)
        made = card.model_copy(update={"name": name, **texts})
        (new / CARD).write_text(made.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return made


def rewrite(folder: Path, texts: Mapping[str, str]) -> AnyCard:
    """Write other texts into the card of a model in the store. Raises: NotAModel."""
    card = card_in(folder).model_copy(update=dict(texts))
    with replacing(folder / CARD) as partial:
        partial.write_text(card.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return card
