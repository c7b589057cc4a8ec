"""The moving average of a network's weights: its recursion, its buffers, and its way in and out."""

import pytest
import torch
from torch import nn

from training.engine.average import ParameterAverage


def two_layers(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))


def test_the_average_follows_its_recursion_and_buffers_follow_at_once() -> None:
    network = two_layers(0)
    average = ParameterAverage(network, 0.75)
    expected = network[0].weight.detach().clone()
    for value in (1.0, -2.0, 5.0):
        with torch.no_grad():
            network[0].weight.fill_(value)
            network[1].running_mean.fill_(value)
        average.update()
        expected = 0.75 * expected + 0.25 * value
    torch.testing.assert_close(average.state()["0.weight"], expected)
    assert average.state()["1.running_mean"].tolist() == [5.0, 5.0]
    assert bool((network[0].weight == 5.0).all())


def test_it_is_written_into_another_network_and_taken_up_again() -> None:
    network, target = two_layers(0), two_layers(1)
    average = ParameterAverage(network, 0.5)
    average.apply(target)
    assert torch.equal(target[0].weight, network[0].weight)
    again = ParameterAverage(two_layers(2), 0.5)
    again.restore(average.state())
    assert all(torch.equal(value, average.state()[key]) for key, value in again.state().items())
    with pytest.raises(ValueError, match="another network"):
        again.restore({"0.weight": torch.zeros(2, 3)})
    with pytest.raises(ValueError, match="beta"):
        ParameterAverage(network, 1.0)
