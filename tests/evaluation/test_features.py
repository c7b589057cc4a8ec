"""Feature networks: their digests, their input, and that they notice damage the more the worse it is."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr

from evaluation.distances.frechet import frechet
from evaluation.distances.neighbours import realism
from evaluation.errors import EvaluationRefused
from evaluation.features.astra import PACKAGES, Astra, InflatedResNet
from evaluation.features.medicalnet import MedicalNet
from evaluation.features.own_encoder import OwnEncoder
from evaluation.features.resnet3d import ResNet3D
from evaluation.studies.damage import KINDS, STRENGTHS
from model_store.features.network import FeatureNetwork, features_of, resized
from model_store.features.random_network import RandomNetwork
from model_store.load import load
from tests.support.models.tiny_models import write_tiny_hagan
from training.phantoms.phantom import thorax
from volumes.intensity import to_unit


@pytest.fixture(scope="module")
def phantoms() -> NDArray[np.float32]:
    """(12, 64, 64, 64) in [0, 1]: small thoraces."""
    made = [thorax(seed, (64, 64, 64), (5.5, 5.5, 5.5)).array for seed in range(12)]
    return np.stack([to_unit(array, -1024, 600) for array in made])


@pytest.fixture(scope="module")
def small() -> NDArray[np.float32]:
    """(3, 32, 32, 32) in [0, 1]."""
    return np.stack([to_unit(thorax(seed, (32, 32, 32), (11.0, 11.0, 11.0)).array, -1024, 600) for seed in range(3)])


def rows(network: FeatureNetwork, volumes: NDArray[np.float32]) -> NDArray[np.float64]:
    """(n, d), of one volume after another."""
    found = [
        features_of(network, torch.from_numpy(np.ascontiguousarray(one))[None, None])[0].numpy() for one in volumes
    ]
    return np.stack(found).astype(np.float64)


def response(network: FeatureNetwork, volumes: NDArray[np.float32], kind: str) -> tuple[list[float], list[float]]:
    """FID from whole volumes, and mean realism of the damaged among others, at every strength."""
    whole, real = rows(network, volumes[:4]), rows(network, volumes)
    distances, scores = [], []
    for strength in STRENGTHS:
        damaged = rows(network, np.stack([KINDS[kind](one, strength) for one in volumes[:4]]))
        distances.append(frechet(whole, damaged))
        scores.append(float(realism(real[4:], damaged).mean()))
    return distances, scores


@pytest.mark.parametrize("kind", KINDS)
def test_random_features_of_small_volumes_notice_damage_too(small: NDArray[np.float32], kind: str) -> None:
    network = RandomNetwork(shape=(32, 32, 32))
    whole = rows(network, small)
    damaged = [rows(network, np.stack([KINDS[kind](one, s) for one in small])) for s in STRENGTHS[::2]]
    distances = [frechet(whole, one) for one in damaged]
    assert distances == sorted(distances)
    assert len(set(distances)) == len(distances)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_random_features_notice_damage_the_more_the_worse(phantoms: NDArray[np.float32], kind: str) -> None:
    distances, scores = response(RandomNetwork(), phantoms, kind)
    assert distances == sorted(distances)
    assert distances[0] == pytest.approx(0, abs=1e-9)
    assert scores[-1] < scores[0]


def test_random_features_are_the_same_everywhere() -> None:
    network = RandomNetwork()
    assert network.sha256 == RandomNetwork().sha256
    assert network.sha256.startswith("0952c3900954005b")
    volume = torch.from_numpy(np.random.RandomState(0).rand(3, 1, 70, 66, 64).astype(np.float32))
    together = features_of(network, volume)
    assert together.shape == (3, 624)
    alone = torch.cat([features_of(network, one[None]) for one in volume])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_a_volume_is_averaged_to_a_coarser_grid_and_interpolated_to_a_finer_one() -> None:
    volume = torch.arange(64.0).reshape(1, 1, 4, 4, 4)
    assert resized(volume, (2, 2, 2))[0, 0, 0, 0, 0] == volume[0, 0, :2, :2, :2].mean()
    assert torch.equal(resized(volume, (3, 2, 4)), torch.nn.functional.adaptive_avg_pool3d(volume, (3, 2, 4)))
    assert resized(volume, (8, 8, 8)).mean() == pytest.approx(volume.mean())
    assert resized(volume, (4, 4, 4)) is volume
    with pytest.raises(ValueError, match="expected volumes"):
        features_of(RandomNetwork(), torch.zeros(4, 4, 4))


def test_a_models_own_encoder_gives_its_latents(tmp_path: Path) -> None:
    card = write_tiny_hagan(tmp_path, "tiny")
    model = load(tmp_path / "tiny", card)
    network = OwnEncoder(model)
    assert network.sha256 == card.sha256
    unit = torch.rand(2, 1, 32, 32, 32, generator=torch.Generator().manual_seed(0))
    found = features_of(network, unit)
    turned = unit.permute(0, 1, 4, 3, 2).flip(2, 4)  # XYZ -> IAL
    assert found.shape == (2, 8)
    expected = model.encode(turned * 2 - 1).flatten(1)
    torch.testing.assert_close(found, expected)


def test_a_model_without_an_encoder_has_no_features_of_its_own(tmp_path: Path) -> None:
    card = write_tiny_hagan(tmp_path, "tiny", encoder=False)
    with pytest.raises(EvaluationRefused, match="no encoder"):
        OwnEncoder(load(tmp_path / "tiny", card))


# -- Astra -----------------------------------------------------------------------------------------------------------

HAS_ASTRA = all(importlib.util.find_spec(package) for package in PACKAGES)


def test_the_inflated_network_is_that_of_the_published_weights() -> None:
    """930 tensors of 117,517,632 values beside the counters, as the file's own description says."""
    with torch.device("meta"):
        state = InflatedResNet().state_dict()
    assert len(state) == 930
    values = [tensor for key, tensor in state.items() if not key.endswith("num_batches_tracked")]
    assert sum(tensor.numel() for tensor in values) == 117_517_632


@pytest.mark.skipif(HAS_ASTRA, reason="the extra astra is installed")
def test_weights_that_are_not_installed_name_the_extra() -> None:
    with pytest.raises(EvaluationRefused, match="the extra astra brings them"):
        Astra()


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(not HAS_ASTRA, reason="the extra astra is not installed")
@pytest.mark.parametrize("kind", KINDS)
def test_astra_notices_damage_the_more_the_worse(phantoms: NDArray[np.float32], kind: str) -> None:
    network = Astra()
    whole = rows(network, phantoms[:2])
    damaged = [rows(network, np.stack([KINDS[kind](one, s) for one in phantoms[:2]])) for s in STRENGTHS]
    distances = [float(np.linalg.norm(one - whole, axis=1).mean()) for one in damaged]
    assert distances[0] == pytest.approx(0, abs=1e-4)
    assert spearmanr(distances, STRENGTHS).statistic >= 0.9


# -- MedicalNet ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def medicalnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as MedicalNet's are: the old container, `module.` before each name, a segmentation head beside."""
    torch.manual_seed(0)
    state = {f"module.{key}": value for key, value in ResNet3D().state_dict().items()}
    state = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    state["module.conv_seg.0.weight"] = torch.zeros(3)
    path = tmp_path_factory.mktemp("medicalnet") / "resnet_50.pth"
    torch.save({"state_dict": state}, path, _use_new_zipfile_serialization=False)
    return path


@pytest.mark.slow
def test_a_medicalnet_file_gives_2048_features(medicalnet: Path) -> None:
    network = MedicalNet(medicalnet)
    assert sum(weight.numel() for weight in network.network.parameters()) == 46_155_072
    assert features_of(network, torch.rand(1, 1, 32, 40, 32)).shape == (1, 2048)


@pytest.mark.slow
@pytest.mark.parametrize("content", [b"", b"<html>", b"PK\x03\x04 no zip"])
def test_what_is_no_medicalnet_file_is_refused_in_a_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "resnet_50.pth"
    path.write_bytes(content)
    with pytest.raises(EvaluationRefused, match="--weights"):
        MedicalNet(path)


@pytest.mark.slow
def test_another_networks_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    torch.save({"state_dict": {"conv1.weight": torch.zeros(64, 1, 7, 7, 7)}}, path)
    with pytest.raises(EvaluationRefused, match="missing"):
        MedicalNet(path)
