"""What the course of a training run asks of a family."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from model_store.card import AnyCard
from training.engine.data import Prepares, Scans, TrainingVolumes, batches
from training.engine.report import Progress, Told
from training.engine.trainer import Config, Trainer

Trained = TypeVar("Trained", bound=Trainer[Any])


class Family(ABC, Generic[Config, Trained]):
    """How a run of one family is begun, fed and turned into a model. The methods stand in the course's order."""

    def check(self, config: Config) -> None:
        """Before anything is made. Raises: DataRefused, where the run must not begin."""

    @abstractmethod
    def trainer(self, config: Config) -> Trained:
        """The networks at their random start."""

    def start(self, trainer: Trained) -> None:
        """Of a run without checkpoint: take up what it starts from, while nothing of the run is on disk.

        Raises:
            DataRefused: it cannot start from that.
        """

    @abstractmethod
    def preparation(self, trainer: Trained) -> Prepares:
        """How a scan comes to the network."""

    def classes(self, config: Config) -> Sequence[str]:  # noqa: ARG002 -- for the families that have some
        """Names in the order of the labels."""
        return ()

    def masks(self, config: Config) -> Path | None:  # noqa: ARG002 -- for the families that learn from masks
        """Folder of masks, of the names of their scans."""
        return None

    def heaviest(self, trainer: Trained) -> tuple[int, ...]:  # noqa: ARG002 -- for the families whose networks grow
        """Iterations among which is the one that needs the most memory."""
        return (0,)

    def example(self, trainer: Trained, iteration: int) -> list[Tensor]:  # noqa: ARG002
        """A batch of zeros, of the shapes that an iteration gets."""
        count = trainer.config.effective_batch
        return [torch.zeros(count, 1, *self.preparation(trainer).shape), torch.zeros(count, dtype=torch.int64)]

    def survey(self, trainer: Trained, scans: Scans) -> None:
        """Of every run, resumed ones too: what the training takes from the scans as a whole."""

    def warm_up(self, trainer: Trained, scans: Scans, progress: Progress | None, told: Told | None) -> None:
        """Of a run without checkpoint: what goes before its first iteration."""

    def batches(self, trainer: Trained, volumes: TrainingVolumes, first: int, last: int) -> Iterator[list[Tensor]]:
        """Those of iterations [first, last): [(n, 1, *shape), (n,) labels] each."""
        config = trainer.config
        return batches(volumes, config.effective_batch, first, last, config.data_workers)

    def last(self, trainer: Trained) -> int:
        """The iteration at which the run ends."""
        return int(trainer.config.iterations)

    @abstractmethod
    def card(self, trainer: Trained, scans: int) -> AnyCard:
        """The card of the trained model; `scans`: how many it has seen."""

    @abstractmethod
    def tensors(self, trainer: Trained) -> dict[str, Tensor]:
        """The trained model's weights by their keys in its file."""
