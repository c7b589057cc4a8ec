"""What every loaded model is, whatever it makes: a card, a device, and what it needs of the device's memory."""

from typing import Protocol

from torch import device

from model_store.card import AnyCard, Task

Shape = tuple[int, int, int]


class LoadedModel(Protocol):
    """A model in eval mode, its weights frozen. Generators and translators are such (generator.py, translator.py)."""

    @property
    def card(self) -> AnyCard: ...

    @property
    def device(self) -> device: ...

    @property
    def size_bytes(self) -> int:
        """Memory that the weights hold."""

    def work_bytes(self, task: Task, shape: Shape) -> int:
        """Estimate of what one volume of this shape (A0, A1, A2) needs on the device beside the weights, at the worst
        moment. A generator's shape is its card's, a translator's that of the scan in hand."""
