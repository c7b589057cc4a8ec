"""What the families share as they are served: networks behind the protocols of generator.py and translator.py."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn

from model_store.card import AnyCard, ModelCard, Task, TranslatorCard
from model_store.families.float16_gradients import widened
from model_store.features.reference import Reference
from model_store.loaded_model import Shape
from model_store.sizes.base import FamilySizes
from model_store.translator import Drawing, Guide, Pass, Slab


class Served(nn.Module, ABC):
    """A LoadedModel: the card, the device, the weights' size, and the last step of loading."""

    sizes: ClassVar[type[FamilySizes]]
    """What the family is called and what its card's `network` says."""
    low_memory = False
    """Prefer small activations to speed. The volumes are the same up to rounding. Set before `settle`."""
    card: AnyCard

    def __init__(self, card: AnyCard) -> None:
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

    @abstractmethod
    def work_bytes(self, task: Task, shape: Shape) -> int: ...

    def settle(self) -> None:
        """Once the weights are in: drop what inference does not run, choose layouts, fold."""


class FeatureCritic(Protocol):
    """A critic whose convolutions can be looked at."""

    def features(self, volume: Tensor, /) -> Sequence[Tensor]:
        """(n, 1, *card.shape) -> feature maps, finest first."""


class ServedGenerator(Served):
    """A Generator, which has the meaning of its methods."""

    card: ModelCard
    critic: FeatureCritic | None
    """Set by a family whose weights hold one."""
    reference: Reference | None
    """Set where the model's folder holds one."""

    def __init__(self, card: ModelCard) -> None:
        super().__init__(card)
        self.critic = self.reference = None

    @abstractmethod
    def map(self, z: Tensor, label: int | None = None) -> Tensor: ...

    @abstractmethod
    def mean_style(self) -> Tensor: ...

    def widened(self, run: Callable[[Tensor], Tensor], w: Tensor) -> Tensor:
        """The volume that `run` makes of w in the model's precision, as float32, its gradient kept in range."""
        return widened(lambda w: [run(w)], w, self.dtype)[0]

    @abstractmethod
    def synthesise(self, w: Tensor, noise_seed: int | None = None) -> Tensor: ...

    def encode(self, volume: Tensor) -> Tensor:  # noqa: ARG002 -- for the families with an encoder
        raise TypeError("this model has no encoder")

    def critic_features(self, volume: Tensor) -> Sequence[Tensor]:
        """None where no critic came with the model."""
        critic = self.critic
        if critic is None:
            return []
        expect(volume, (1, *self.card.shape), "volumes")
        return widened(lambda volume: critic.features(volume.to(self.device, self.dtype)), volume, self.dtype)

    @abstractmethod
    def style_matrices(self) -> Sequence[Tensor]: ...


class ServedTranslator(Served):
    """A Translator, which has the meaning of its methods."""

    card: TranslatorCard

    def __init__(self, card: TranslatorCard) -> None:
        super().__init__(card)

    @property
    @abstractmethod
    def drawing(self) -> Drawing: ...

    @abstractmethod
    def translate(self, guide: Guide) -> Iterator[Pass | Slab]: ...


def expect(x: Tensor, tail: tuple[int, ...], what: str) -> None:
    """Raises: ValueError, where x is not (n, *tail)."""
    if x.shape[1:] != tail:
        expected = ", ".join(str(n) for n in tail)
        raise ValueError(f"expected {what} (n, {expected}), got {tuple(x.shape)}")


def with_class(z: Tensor, label: int | None, classes: int) -> Tensor:
    """(n, z_dim) -> (n, z_dim + classes): the one-hot class beside z.

    Raises:
        ValueError: there are no classes and one is given, or the other way round.
    """
    if (label is None) != (classes == 0):
        raise ValueError("a class belongs to a conditional model, and only to it")
    one_hot = z.new_zeros(len(z), classes)
    if label is not None:
        one_hot[:, label] = 1
    return torch.cat([z, one_hot], dim=1)


def without_class(label: int | None) -> None:
    """Raises: ValueError, where a class is given to a family that has none."""
    if label is not None:
        raise ValueError("a class belongs to a conditional model, and only to it")
