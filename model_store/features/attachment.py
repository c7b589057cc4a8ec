"""Puts a reference into the folder of the model whose scans it holds."""

from pathlib import Path

from model_store.card import CARD, REFERENCE, AnyCard
from model_store.catalogue import read_card
from model_store.features.reference import Reference, write
from model_store.folder import replacing
from model_store.integrity import sha256_of


def put_reference(folder: Path, reference: Reference) -> None:
    """The card names the file by its digest only while it lies there whole: whoever reads the folder in between, or
    after a stop, sees a model without a reference. Raises: OSError, FolderFault."""
    card = read_card(folder)
    others = {name: digest for name, digest in card.files.items() if name != REFERENCE}
    if len(others) < len(card.files):
        _put_card(folder, card.model_copy(update={"files": others}))
    with replacing(folder / REFERENCE) as partial:
        write(partial, reference)
    _put_card(folder, card.model_copy(update={"files": others | {REFERENCE: sha256_of(folder / REFERENCE)}}))


def _put_card(folder: Path, card: AnyCard) -> None:
    with replacing(folder / CARD) as partial:
        partial.write_text(card.model_dump_json(indent=2) + "\n", encoding="utf-8")
