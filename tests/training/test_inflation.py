"""Inflation: the paper's five formulas tap by tap, and what an inflated network keeps of the 2D one."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from model_store.networks.split_shuffle import SplitShuffleGenerator
from model_store.networks.split_shuffle_critic import SplitShuffleDiscriminator
from model_store.sizes.split_shuffle import Architecture, Variant
from training.split_shuffle.inflation import START_STD, STRATEGIES, Inflation, inflate

FORMULAS = {  # (tap of each spatial axis) -> which value it takes; None: as it started
    "inflate-1": lambda i, j, k: (1, (j, k)) if i == 1 else None,
    "inflate-2": lambda i, j, k: (1, (j, k)) if i in (0, 1) else None,
    "inflate-3": lambda _i, j, k: (1, (j, k)),
    "inflate-asc": lambda i, j, k: (
        (1, (i, j)) if k == 1 else (1, (i, k)) if j == 1 else (1, (j, k)) if i == 1 else None
    ),
    "inflate-nwi": lambda i, j, k: (5 / 3 if i == 1 else -1 / 3, (j, k)),
}


@pytest.mark.parametrize("strategy", FORMULAS)
def test_a_strategy_is_its_formula(strategy: Inflation) -> None:
    source = torch.Generator().manual_seed(0)
    w_2, start = torch.randn(4, 3, 3, 3, generator=source), torch.randn(4, 3, 3, 3, 3, generator=source)
    kept = w_2.clone(), start.clone()
    w_3 = STRATEGIES[strategy](w_2, start)
    for i in range(3):
        for j in range(3):
            for k in range(3):
                rule = FORMULAS[strategy](i, j, k)
                expected = start[:, :, i, j, k] if rule is None else rule[0] * w_2[:, :, rule[1][0], rule[1][1]]
                torch.testing.assert_close(w_3[:, :, i, j, k], expected)
    assert torch.equal(w_2, kept[0])
    assert torch.equal(start, kept[1])


def test_every_strategy_has_a_formula_here() -> None:
    assert set(FORMULAS) == set(STRATEGIES)


DEEP = Architecture((4, 2, 3), 2, 4)


def randomised(network: torch.nn.Module, seed: int) -> torch.nn.Module:
    source = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=source))
    return network


def inflated(flat: torch.nn.Module, deep: torch.nn.Module, strategy: Inflation) -> None:
    """From zeros. Also checks that every key and shape is that of the 3D network."""
    state = inflate(flat.state_dict(), DEEP, strategy, torch.Generator().manual_seed(1), start_std=0.0)
    deep.load_state_dict(state, strict=True)


@pytest.mark.parametrize("strategy", ["inflate-1", "inflate-nwi"])
def test_an_inflated_generator_makes_volumes_whose_slices_are_the_2d_images(strategy: Inflation) -> None:
    """Inflate-1 so, away from the ends in A0, where it starts from zeros; eq. 7's weights make another image."""
    flat, deep = randomised(SplitShuffleGenerator(DEEP.flat(), 5, 6), 2), SplitShuffleGenerator(DEEP, 5, 6)
    inflated(flat, deep, strategy)
    z = torch.randn(2, 5, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        image, volume = flat.synthesis(flat.styles(z)), deep.synthesis(deep.styles(z))
    middle: Tensor = volume[:, :, 3:-3] - image[:, :, None]
    assert (float(middle.abs().max()) < 1e-4) == (strategy == "inflate-1")


@pytest.mark.parametrize("variant", ["split-shuffle", "group-d", "depthwise-d"])
def test_an_inflated_discriminator_sees_in_equal_slices_what_the_2d_one_sees(variant: Variant) -> None:
    architecture = replace(DEEP, variant=variant)
    flat = randomised(SplitShuffleDiscriminator(architecture.flat()), 4)
    deep = SplitShuffleDiscriminator(architecture)
    inflated(flat, deep, "inflate-1")
    image = torch.randn(4, 1, 8, 12, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        seen, seen_in_volume = flat.features(image), deep.features(image[:, :, None].expand(-1, -1, 16, -1, -1))
        torch.testing.assert_close(seen_in_volume[0][:, :, 2:-2], seen[0][:, :, None].expand(-1, -1, 4, -1, -1))
        same = torch.randn(1, 4 * 2 * 3, generator=torch.Generator().manual_seed(6))
        in_volume = same.view(1, 4, 1, 6).expand(-1, -1, 4, -1).reshape(1, -1)
        torch.testing.assert_close(deep.dense(in_volume), flat.dense(same), atol=1e-5, rtol=1e-5)


def test_what_is_not_inflated_starts_from_small_random_weights_of_the_given_source() -> None:
    flat = SplitShuffleGenerator(DEEP.flat(), 5, 6).state_dict()
    first, again, other = (
        inflate(flat, DEEP, "inflate-1", torch.Generator().manual_seed(seed))["synthesis.convolutions.0.weight"]
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    free = torch.cat([first[:, :, 0], first[:, :, 2]])
    assert not torch.equal(free, torch.cat([other[:, :, 0], other[:, :, 2]]))
    assert math.isclose(float(free.std()), START_STD, rel_tol=0.3)
