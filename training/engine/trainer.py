"""What every family's trainer has: networks, optimisers, randomness by iteration, one update, the whole state."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.amp.autocast_mode import autocast
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.optim import Adam

from training.engine.average import ParameterAverage
from training.engine.checkpoint import networks_in
from training.engine.config import CourseConfig
from training.engine.errors import Diverged
from training.engine.precision import forward_precision

Config = TypeVar("Config", bound=CourseConfig)
Loss = Callable[[slice], Tensor]
"""Of those samples of the batch: a mean over them."""
STRIDE = 1_000_003
"""Between the seeds of two runs, so that their iterations share none."""


class Trainer(ABC, Generic[Config]):
    """What `step` does depends on the batch, the state and the iteration alone.

    A family's trainer makes `networks` and `optimisers`, the latter by the name that `update` takes.
    """

    networks: nn.ModuleDict
    optimisers: dict[str, Adam]
    average: ParameterAverage | None = None
    cycle: int = 1
    """Iterations after which the same work comes again."""

    def __init__(self, config: Config, draws_on: str = "cpu") -> None:
        """`draws_on`: the device of the random numbers."""
        self.config, self.iteration, self._draws_on = config, 0, draws_on
        torch.manual_seed(config.seed)

    @abstractmethod
    def step(self, real: Tensor, labels: Tensor | None) -> dict[str, Tensor]:
        """One iteration on real data (n, 1, *shape) and labels (n,), -1 without classes; returns the losses."""

    @abstractmethod
    def sample(self, count: int) -> Tensor:
        """(count, 1, *shape) in [-1, 1], for looking at."""

    def alike_until(self) -> int | None:
        """The iteration from which on another kind of them begins; None: they are alike to the end."""
        return None

    def source(self, iteration: int) -> torch.Generator:
        """All randomness of one iteration."""
        return torch.Generator(self._draws_on).manual_seed(self.config.seed * STRIDE + iteration)

    def draw(self, source: torch.Generator, *shape: int) -> Tensor:
        """From N(0, I)."""
        return torch.randn(shape, generator=source, device=source.device).to(self.config.device)

    def forward_precision(self) -> autocast:
        """Around forward passes outside `update`."""
        return forward_precision(self.config.device, self.config.precision)

    def update(self, name: str, loss_of: Loss, count: int, largest_norm: float | None = None) -> Tensor:
        """Minimise over the parameters of one optimiser, everything else held still; returns the loss.

        Args:
            count: of the samples, which are taken in as many parts as the run accumulates.
            largest_norm: of the gradient, which is scaled down to it; None leaves it as it is.

        Raises:
            Diverged: the gradient is not finite; the parameters are as they were.
        """
        optimiser = self.optimisers[name]
        self.networks.requires_grad_(False)
        for group in optimiser.param_groups:
            for parameter in group["params"]:
                parameter.requires_grad_(True)
        optimiser.zero_grad(set_to_none=True)
        loss = self._add_gradients(loss_of, count)
        free = [parameter for parameter in self.networks.parameters() if parameter.requires_grad]
        norm = nn.utils.get_total_norm([parameter.grad for parameter in free if parameter.grad is not None])
        if not norm.isfinite():
            raise Diverged(self._diverged(name))
        if largest_norm is not None:
            nn.utils.clip_grads_with_norm_(free, largest_norm, norm)
        optimiser.step()
        return loss

    def _diverged(self, name: str) -> str:
        exactly = "--precision float32 or " if self.config.precision == "bfloat16" else ""
        return (
            f"in iteration {self.iteration + 1} the gradient of the {name} is infinite or no number, and was not "
            "taken; the last checkpoint, if there is one, is from before. Begin anew in another --out with "
            f"{exactly}a smaller learning rate"
        )

    def _add_gradients(self, loss_of: Loss, count: int) -> Tensor:
        """Those of the mean over `count` samples, part by part; returns that mean."""
        mean = torch.zeros((), device=self.config.device)
        iterated = dict(self._power_iterations()) if self.config.accumulate > 1 else {}
        for part in parts(count, self.config.accumulate):
            for buffer, before in iterated.items():
                buffer.copy_(before)
            with self.forward_precision():
                loss = loss_of(part) * ((part.stop - part.start) / count)
            loss.backward()
            mean += loss.detach()
        return mean

    def _power_iterations(self) -> Iterator[tuple[Tensor, Tensor]]:
        """What spectral norm goes on from, and a copy: a whole batch has its forward passes after it only once."""
        for module in self.networks.modules():
            if isinstance(module, _SpectralNorm):
                yield from ((buffer, buffer.clone()) for buffer in module.buffers(recurse=False))

    def state(self) -> dict[str, Any]:
        """All that the next iteration depends on, and the averaged weights."""
        state: dict[str, Any] = {
            "iteration": self.iteration,
            "networks": self.networks.state_dict(),
            "optimisers": {name: optimiser.state_dict() for name, optimiser in self.optimisers.items()},
        }
        return state if self.average is None else state | {"average": self.average.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up a state that `state` gave."""
        self.iteration = state["iteration"]
        self.networks.load_state_dict(networks_in(state))
        if self.average is not None:
            self.average.restore(state["average"])
        for name, optimiser in self.optimisers.items():
            optimiser.load_state_dict(state["optimisers"][name])


def parts(count: int, most: int) -> Iterator[slice]:
    """`count` samples in `most` parts as equal as can be, in their order; none is empty."""
    most = min(most, count)
    ends = [count * k // most for k in range(most + 1)]
    yield from map(slice, ends, ends[1:])
