"""A tiny MEGAN: LR and HR networks of a few channels with random weights, imported as a user's files are."""

from pathlib import Path

from model_store.card import TranslatorCard
from model_store.importers.megan import Target, import_megan
from tests.support.models.megan_files import generator_state, write_files

TINY = Target("T1-weighted MR", "MR")


def write_megan(
    folder: Path, name: str, levels: int = 1, lr_size: int = 16, target: Target = TINY, width: int = 4
) -> TranslatorCard:
    """In `folder / name`: `levels` HR networks over LR."""
    states = [generator_state(level, width) for level in range(levels + 1)]
    lr, *hr = write_files(folder / f".{name}-files", states)
    return import_megan(name, lr, hr, folder, lr_size=lr_size, target=target)
