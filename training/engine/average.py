"""Exponential moving average of a network's weights: what a trained generator is exported with."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class ParameterAverage:
    """average <- beta * average + (1 - beta) * weights for every parameter; buffers are taken as they stand.

    It starts as a copy of the network's weights. `beta` may be changed between updates, for a warm-up.
    """

    def __init__(self, network: nn.Module, beta: float) -> None:
        if not 0 <= beta < 1:
            raise ValueError(f"expected 0 <= beta < 1, got {beta}")
        self.network, self.beta = network, beta
        self._average = {key: value.detach().clone() for key, value in network.state_dict().items()}

    @torch.no_grad()
    def update(self) -> None:
        """One step toward the network's weights as they are now."""
        parameters = {key for key, _ in self.network.named_parameters()}
        for key, value in self.network.state_dict().items():
            if key in parameters:
                self._average[key].lerp_(value, 1 - self.beta)
            else:
                self._average[key].copy_(value)

    def apply(self, target: nn.Module) -> None:
        """Write the averaged weights into a network of the same keys and shapes."""
        target.load_state_dict(self._average, strict=True)

    def state(self) -> dict[str, Tensor]:
        """The averaged weights by the network's keys; the tensors are the average's own."""
        return dict(self._average)

    @torch.no_grad()
    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take up a state that `state` gave.

        Raises:
            ValueError: the keys are not the network's.
        """
        if set(state) != set(self._average):
            raise ValueError("an average of another network")
        for key, value in state.items():
            self._average[key].copy_(value)
