"""How much memory a run needs, counted before its first iteration on a copy of the trainer whose tensors are empty."""

import copy
import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode

from training.engine.command_line import flag_of
from training.engine.config import CourseConfig
from training.engine.family import Family, Trained
from training.engine.trainer import Config
from training.estimates.free_memory import free_bytes, held_bytes
from training.estimates.held_memory import Held

LOG = logging.getLogger(__name__)
SMALL_BYTES, SMALL_BATCH_BYTES = 16 * 2**20, 2**18
"""Networks and batches up to these are counted with their values, which then takes less time than without."""
SCRATCH = 1.5
"""Factor of what is counted, for what libraries need beside it: measured on CPUs, 1.2 to 1.8."""
UNCOUNTED = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
PREFETCHED = 2
"""Batches that torch's loader has each of its processes make ahead."""
LOWERING = ("batch_size", "size", "shape", "base", "lr_size", "width", "channels", "critic_channels", "hr_width")
"""Settings that memory hangs on, as far as a family has them."""


@dataclass(frozen=True)
class Counted:
    """Bytes on the run's device."""

    networks: int
    peak: int
    """In an iteration: networks, their averages, optimisers, gradients, activations and the batch."""


@dataclass(frozen=True)
class MemoryEstimate:
    """Of a run, beside what it can have."""

    kind: type[CourseConfig]
    device: str
    counted: Counted
    process_bytes: int
    """That the process holds on the device already, the networks but once."""
    ahead_bytes: int
    """Batches made ahead of their iteration, in the machine's memory."""
    free_bytes: int
    """What the process can have on the device, with what it holds already."""

    @property
    def needed_bytes(self) -> int:
        """On the device."""
        ahead = self.ahead_bytes if self.device == "cpu" else 0
        return self.process_bytes + int(SCRATCH * self.counted.peak) + ahead

    def lines(self) -> Iterator[str]:
        """One."""
        yield (
            f"memory: about {_gb(self.needed_bytes)} on {self.device}, of which networks {_gb(self.counted.networks)}; "
            f"{_gb(self.free_bytes)} can be had"
        )

    def warnings(self) -> Iterator[str]:
        """The run is begun all the same."""
        if self.needed_bytes > self.free_bytes:
            flags = [flag_of(self.kind, name) for name in LOWERING if name in self.kind.model_fields]
            has_parts = self.kind.model_fields["accumulate"].annotation is int
            yield (
                f"the run needs about {_gb(self.needed_bytes)} of memory and {_gb(self.free_bytes)} can be had: it may "
                f"be ended by the system; less is needed with a lower {' or '.join(flags)}"
            ) + ("; --accumulate makes up for a smaller batch" if has_parts else "")


def estimate(trainer: Trained, family: Family[Config, Trained]) -> MemoryEstimate | None:
    """What the run will need; None, and a line in the log, where torch cannot count it."""
    config = trainer.config
    try:
        counted = count(trainer, family)
    except UNCOUNTED as err:  # what torch lacks for tensors without values, the run itself may not
        LOG.warning("the memory that the run needs cannot be counted here: %s", type(err).__name__)
        return None
    device = torch.device(config.device)
    held = held_bytes(device)
    batch = _batch_bytes(trainer, family)
    return MemoryEstimate(
        kind=type(config),
        device=config.device,
        counted=counted,
        process_bytes=max(held - counted.networks, 0),
        ahead_bytes=batch * (1 + PREFETCHED * config.data_workers),
        free_bytes=held + free_bytes(device),
    )


def count(trainer: Trained, family: Family[Config, Trained], may_have_values: bool = True) -> Counted:
    """Do the family's heaviest iterations with a copy of the trainer and see what they hold; the trainer stays.

    What a library needs for itself meanwhile, such as a convolution's scratch space, is not seen.

    Args:
        may_have_values: whether small networks are counted with their values.
    """
    kind = torch.device(trainer.config.device).type
    own = sum(tensor.nbytes for tensor in trainer.networks.state_dict().values())
    is_small = own <= SMALL_BYTES and _batch_bytes(trainer, family) <= SMALL_BATCH_BYTES
    has_values = may_have_values and is_small
    mode: AbstractContextManager[Any] = nullcontext() if has_values else FakeTensorMode(allow_non_fake_inputs=True)
    with torch.random.fork_rng(devices=[]), mode, Held(kind, without_values=not has_values) as held:
        with _Copying():
            trial = copy.deepcopy(trainer)
        networks = held.now
        for iteration in family.heaviest(trainer):
            trial.iteration = iteration
            trial.step(*family.example(trainer, iteration))
        return Counted(networks, held.peak)


class _Copying(TorchFunctionMode):
    """Copies of tensors are made by operations, so that in a FakeTensorMode they have no values either."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is not Tensor.__deepcopy__:
            return func(*args, **(kwargs or {}))
        tensor, memo = args
        return memo.setdefault(id(tensor), tensor.detach().clone())


def _batch_bytes(trainer: Trained, family: Family[Config, Trained]) -> int:
    """Of the largest batch."""
    with torch.device("meta"):
        batches = [family.example(trainer, iteration) for iteration in family.heaviest(trainer)]
    return max(sum(tensor.untyped_storage().nbytes() for tensor in batch) for batch in batches)


def _gb(size_bytes: int) -> str:
    """Two figures: 12 MB, 4.2 GB, 41 GB."""
    if size_bytes < 1e9:
        return f"{size_bytes / 1e6:.0f} MB"
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes < 1e10 else f"{size_bytes / 1e9:.0f} GB"
