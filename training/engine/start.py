"""What a run takes from the folder of a finished model: its card and its tensors."""

from pathlib import Path

from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from model_store.card import CARD, WEIGHTS, ModelCard
from training.engine.errors import DataRefused


def card_in(folder: Path) -> ModelCard:
    """Raises: DataRefused, where the folder is no model's."""
    try:
        return ModelCard.model_validate_json((folder / CARD).read_bytes())
    except (OSError, ValidationError) as err:
        raise DataRefused(f"{folder} is not the folder of a model: {CARD} is missing or not valid") from err


def tensors_in(folder: Path, device: str = "cpu") -> dict[str, Tensor]:
    """The weights by their keys. Raises: DataRefused, where there are none."""
    try:
        tensors: dict[str, Tensor] = load_file(folder / WEIGHTS, device=device)
    except (OSError, SafetensorError) as err:
        raise DataRefused(f"{folder} is not the folder of a model: {WEIGHTS} is missing or damaged") from err
    return tensors
