"""What the families share as they are served: networks behind the Generator protocol."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from model_store.card import ModelCard, Task
from model_store.families.float16_gradients import widened


class Served(nn.Module, ABC):
    """A Generator (generator.py has the meaning of its methods) with what all families share: the card, the device,
    the weights' size, and the last step of loading."""

    low_memory = False
    """Prefer small activations to speed. The volumes are the same up to rounding. Set before `settle`."""

    def __init__(self, card: ModelCard) -> None:
        super().__init__()
        self.card = card

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the forward pass."""
        return next(self.parameters()).dtype

    @property
    def size_bytes(self) -> int:
        """Memory that the weights hold."""
        return sum(tensor.nbytes for tensor in [*self.parameters(), *self.buffers()])

    def work_bytes(self, task: Task) -> int:
        """A family that knows better overrides this: here eight volumes of float32, with gradients four times that."""
        volume = 4 * self.card.shape[0] * self.card.shape[1] * self.card.shape[2]
        return (32 if task == "refine" else 8) * volume

    def settle(self) -> None:
        """Once the weights are in: drop what inference does not run, choose layouts, fold."""

    @abstractmethod
    def map(self, z: Tensor, label: int | None = None) -> Tensor: ...

    @abstractmethod
    def mean_style(self) -> Tensor: ...

    def widened(self, run: Callable[[Tensor], Tensor], w: Tensor) -> Tensor:
        """The volume that `run` makes of w in the model's precision, as float32, its gradient kept in range."""
        return widened(lambda w: [run(w)], w, self.dtype)[0]

    @abstractmethod
    def synthesise(self, w: Tensor, noise_seed: int | None = None) -> Tensor: ...

    @abstractmethod
    def encode(self, volume: Tensor) -> Tensor: ...

    def critic_features(self, volume: Tensor) -> Sequence[Tensor]:  # noqa: ARG002 -- for the families with a critic
        """None: no critic came with the model."""
        return []

    @abstractmethod
    def style_matrices(self) -> Sequence[Tensor]: ...


def expect(x: Tensor, tail: tuple[int, ...], what: str) -> None:
    """Raises: ValueError, where x is not (n, *tail)."""
    if x.shape[1:] != tail:
        expected = ", ".join(str(n) for n in tail)
        raise ValueError(f"expected {what} (n, {expected}), got {tuple(x.shape)}")
