"""The recipe of the feature network that ships: its examples, its phases, and what it leaves."""

from pathlib import Path

import numpy as np
import pytest
import torch

from model_store.features.distortion_network import DistortionNetwork
from model_store.features.network import features_of
from training.demo.distortion_examples import DistortionExamples, head_subject, phantom_subjects
from training.demo.distortion_features import finish, fit
from training.demo.distortions import COORDINATES, KINDS


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> DistortionExamples:
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, 96, dtype=np.float32)] * 3, indexing="ij")
    head = (np.sqrt(x**2 + y**2 + z**2) < 0.8) * (0.6 + 0.2 * np.sin(20 * x))
    cache = tmp_path_factory.mktemp("phantoms")
    first = phantom_subjects(cache, 2)
    again = phantom_subjects(cache, 2)
    assert [one.places for one in first] == [one.places for one in again]
    return DistortionExamples([head_subject(head, is_stripped=False)], first, layout_from=6)


def test_every_distortion_changes_a_volume_and_says_where_it_lies() -> None:
    ramp = torch.linspace(0.1, 0.9, 64).expand(64, 64, 64) * torch.rand(
        64, 1, 1, generator=torch.Generator().manual_seed(0)
    )
    for change, _ in KINDS:
        made, places = change(ramp, np.random.default_rng(2))
        assert made.shape == ramp.shape
        assert 0 <= made.min() <= made.max() <= 1
        assert not torch.equal(made, ramp)
        assert max(places.values()) > 0
        assert set(places) <= set(COORDINATES)


@pytest.mark.slow
def test_every_phase_of_the_recipe_runs(examples: DistortionExamples, tmp_path: Path) -> None:
    volumes, wanted = examples.batch(3, 1)
    assert volumes.shape == (4, 1, 64, 64, 64)
    assert wanted.shape == (4, 64)
    assert torch.equal(volumes, examples.batch(3, 1)[0])
    once = fit(examples, tmp_path, iterations=1, bases=1).state_dict()["stem.weight"].clone()
    network = fit(examples, tmp_path, iterations=2, bases=1)
    assert not torch.equal(network.state_dict()["stem.weight"], once)
    shipped = DistortionNetwork(folder=finish(network, tmp_path))
    network.eval()
    with torch.inference_mode():
        torch.testing.assert_close(features_of(shipped, volumes), network(volumes), rtol=0.05, atol=0.05)
