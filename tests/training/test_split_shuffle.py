"""Split&Shuffle-GAN training: losses as defined, each update moves its own network, runs resume, exports serve."""

import math
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from model_store.card import ModelCard
from model_store.families.split_shuffle import ServedSplitShuffle
from model_store.load import load
from training.engine import course
from training.engine.data import prepare_folder
from training.split_shuffle.card import preparation_of
from training.split_shuffle.config import SplitShuffleConfig
from training.split_shuffle.logistic import discriminator_loss, generator_loss, path_lengths, r1_penalty
from training.split_shuffle.slices import TrainingSlices
from training.split_shuffle.trainer import FAMILY, SplitShuffleTrainer


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three scans with unequal sides, in HU."""
    folder = tmp_path_factory.mktemp("scans")
    rng = np.random.default_rng(0)
    for index in range(3):
        array = (rng.normal(size=(12, 14, 8)) * 200 - 400 + 100 * index).astype(np.int16)
        nib.save(nib.Nifti1Image(array, np.diag([2.0, 2.0, 3.0, 1.0])), folder / f"scan{index}.nii.gz")
    return folder


def config_for(scans: Path, out: Path, **changes: object) -> SplitShuffleConfig:
    sizes = {"shape": (4, 8, 8), "doublings": 2, "channels": 4, "z_dim": 4, "w_dim": 4, "trim_blank_slices": False}
    course = {"iterations": 2, "batch_size": 2, "save_every": 1, "log_every": 1, "picture_every": 1}
    return SplitShuffleConfig.model_validate({"data": scans, "out": out, **sizes, **course, **changes})


def train(config: SplitShuffleConfig) -> Path:
    return course.train(config, FAMILY)


def trainer_for(config: SplitShuffleConfig) -> SplitShuffleTrainer:
    return SplitShuffleTrainer(config, config.architecture, config.rate)


def volumes(seed: int = 0) -> torch.Tensor:
    return torch.rand(2, 1, 4, 8, 8, generator=torch.Generator().manual_seed(seed)) * 2 - 1


LABELS = torch.full((2,), -1)


def test_the_losses_are_those_of_logits() -> None:
    real, made = torch.tensor([2.0, -1.0]), torch.tensor([0.5, -3.0])
    p_real, p_made = torch.sigmoid(real), torch.sigmoid(made)
    torch.testing.assert_close(generator_loss(made), -p_made.log().mean())
    expected = -p_real.log().mean() - (1 - p_made).log().mean()
    torch.testing.assert_close(discriminator_loss(real, made), expected)


def test_r1_and_path_length_are_the_norms_of_known_gradients() -> None:
    x = torch.randn(3, 1, 2, 4, 2, dtype=torch.double)
    kernel = torch.randn(16, dtype=torch.double)
    critic = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 1, dtype=torch.double))
    critic[1].weight.data = kernel[None]
    torch.testing.assert_close(r1_penalty(critic, x), kernel.square().sum() / 2)
    # image = sum over styles of A_k w_k, so that J^T y is A_k^T y for style k
    matrices = torch.randn(5, 16, 3, dtype=torch.double)
    w = torch.randn(3, 5, 3, dtype=torch.double, requires_grad=True)
    y = torch.randn(3, 1, 2, 4, 2, dtype=torch.double)
    image = torch.einsum("kvd,nkd->nv", matrices, w).view_as(y)
    rows = torch.einsum("kvd,nv->nkd", matrices, y.flatten(1)) / math.sqrt(16)
    torch.testing.assert_close(path_lengths(image, w, y), rows.norm(dim=2).square().mean(1).sqrt())


@pytest.mark.parametrize("name", ["generator", "critic"])
def test_each_update_moves_its_own_network_only(scans: Path, tmp_path: Path, name: str) -> None:
    trainer = trainer_for(config_for(scans, tmp_path))
    (other,) = set(trainer.optimisers) - {name}
    for group in trainer.optimisers[other].param_groups:
        group["lr"] = 0.0
    before = {key: value.clone() for key, value in trainer.networks.named_parameters()}
    losses = trainer.step(volumes(), LABELS)
    assert set(losses) == {"generator", "path_length", "critic", "r1"}
    moved = {key for key, value in trainer.networks.named_parameters() if not torch.equal(value, before[key])}
    still = {key for key in before if key.startswith(name)} - moved
    assert all(key.startswith(f"{name}.") for key in moved)
    # A last bias that only shifts every logit gets no gradient through the differences that move the rest.
    assert len(moved) > 3 * len(still)


def test_penalties_are_lazy_and_can_be_left_out(scans: Path, tmp_path: Path) -> None:
    trainer = trainer_for(config_for(scans, tmp_path, r1_every=3, path_length_every=2))
    found = [trainer.step(volumes(k), LABELS) for k in range(4)]
    r1, lengths = [float(one["r1"]) for one in found], [float(one["path_length"]) for one in found]
    assert r1[0] == r1[1] == r1[2] != r1[3]
    assert lengths[0] == lengths[1] != lengths[2] == lengths[3]
    without = trainer_for(config_for(scans, tmp_path, r1_weight=0, path_length_weight=0))
    assert set(without.step(volumes(), LABELS)) == {"generator", "critic"}


@pytest.mark.parametrize("name", ["generator", "critic"])
def test_against_one_that_stands_still_a_network_lowers_its_loss(scans: Path, tmp_path: Path, name: str) -> None:
    trainer = trainer_for(config_for(scans, tmp_path, learning_rate=0.01, path_length_weight=0))
    (other,) = set(trainer.optimisers) - {name}
    for group in trainer.optimisers[other].param_groups:
        group["lr"] = 0.0
    real = torch.full((2, 1, 4, 8, 8), 0.8)
    losses = torch.stack([trainer.step(real, LABELS)[name] for _ in range(20)])
    assert losses[-5:].mean() < losses[:5].mean() - 0.05


def test_a_resumed_run_gives_the_same_weights_as_an_unbroken_one(scans: Path, tmp_path: Path) -> None:
    options = {"augment": "light", "pretrain_2d": 2, "path_length_every": 2, "r1_every": 2}
    whole = train(config_for(scans, tmp_path / "whole", **options, iterations=4))
    train(config_for(scans, tmp_path / "parts", **options, iterations=1))
    parts = train(config_for(scans, tmp_path / "parts", **options, iterations=4))
    assert (whole / "weights.safetensors").read_bytes() == (parts / "weights.safetensors").read_bytes()


def test_a_resumed_pretraining_gives_the_same_weights_as_an_unbroken_one(scans: Path, tmp_path: Path) -> None:
    from_pieces = tmp_path / "parts"
    whole = train(config_for(scans, tmp_path / "whole", pretrain_2d=3, iterations=1))
    train(config_for(scans, from_pieces, pretrain_2d=2, iterations=1))
    (from_pieces / "checkpoint.pt").unlink()
    parts = train(config_for(scans, from_pieces, pretrain_2d=3, iterations=1))
    assert (whole / "weights.safetensors").read_bytes() == (parts / "weights.safetensors").read_bytes()


def test_slices_are_those_of_the_scans_each_once_per_epoch(scans: Path, tmp_path: Path) -> None:
    prepared = prepare_folder(scans, tmp_path / "cache", preparation_of(config_for(scans, tmp_path)))
    slices = TrainingSlices(prepared, 4, seed=1)
    epoch = {slices[k][0].numpy().tobytes() for k in range(12)}
    assert epoch == {np.load(path)[k].astype(np.float32).tobytes() for path in prepared.paths for k in range(4)}
    assert {slices[k][0].numpy().tobytes() for k in range(12, 24)} == epoch
    assert any(not torch.equal(slices[k][0], slices[k + 12][0]) for k in range(12))


@pytest.mark.parametrize("variant", ["baseline", "split-shuffle"])
def test_an_exported_model_is_served(scans: Path, tmp_path: Path, variant: str) -> None:
    config = config_for(scans, tmp_path, variant=variant, name="small", pretrain_2d=1, inflation="inflate-asc")
    folder = train(config)
    card = ModelCard.model_validate_json((folder / "card.json").read_bytes())
    assert card.provenance.iterations == {"adversarial": 2, "pretraining_2d": 1}
    model = load(folder, card)
    assert isinstance(model, ServedSplitShuffle)
    volume = model.synthesise(model.map(torch.zeros(1, 4)), 0)
    assert volume.shape == (1, 1, 4, 8, 8)
    assert [features.shape[2:] for features in model.critic_features(volume)] == [(2, 4, 4), (1, 2, 2)]
    weights = load_file(folder / "weights.safetensors")
    assert float(weights["mapping.mean_style"].abs().max()) > 0
    assert (tmp_path / ".tensorboard").exists()
    assert (tmp_path / ".tensorboard-2d").exists()
    assert F.mse_loss(volume, model.synthesise(model.map(torch.ones(1, 4)), 0)) > 0
