"""HR networks that learn without one of their inputs, for the paper's comparisons (section 3.2, figure 11)."""

from collections.abc import Iterator
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor

from model_store.card import WEIGHTS, TranslatorCard
from training.engine.data import TrainingVolumes
from training.megan.trainer import MEGANFamily, MEGANTrainer

BACKGROUND = -1.0


class AblatedFamily(MEGANFamily):
    """A run that takes the networks below one scale from a finished model, and trains that one and those above on
    conditions of which one channel (0 the coarser patch, 1 the edges) is background.

    The models that it makes are for measuring: served, they would see what they never saw in training.
    """

    def __init__(self, below: Path, first_scale: int, channel: int) -> None:
        """`below`: folder of the finished model, with networks of the same sizes."""
        self._below, self._first, self._channel = below, first_scale, channel

    def start(self, trainer: MEGANTrainer) -> None:
        stored = load_file(self._below / WEIGHTS)
        for scale in range(self._first):
            prefix = f"cascade.levels.{scale}."
            own = {key.removeprefix(prefix): value.float() for key, value in stored.items() if key.startswith(prefix)}
            trainer.cascade.levels[scale].load_state_dict(own)
        trainer.iteration = self._first * trainer.config.iterations

    def batches(self, trainer: MEGANTrainer, volumes: TrainingVolumes, first: int, last: int) -> Iterator[list[Tensor]]:
        for images, conditions in super().batches(trainer, volumes, first, last):
            conditions[:, self._channel] = BACKGROUND
            yield [images, conditions]

    def card(self, trainer: MEGANTrainer, scans: int) -> TranslatorCard:
        made = super().card(trainer, scans)
        missing = ("coarser patches", "edges")[self._channel]
        notes = f"{made.provenance.notes} HR networks without {missing}: for a study."
        return made.model_copy(update={"provenance": made.provenance.model_copy(update={"notes": notes})})
