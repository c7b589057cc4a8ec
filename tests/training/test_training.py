"""HA-GAN's training: the losses move what they should, a resumed run gives the same numbers, and the export serves."""

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from model_store.card import ModelCard
from model_store.load import load
from model_store.networks.hagan import select_features, select_sub_volume
from training.engine import course
from training.engine.data import Scans, TrainingVolumes, light_augmentation, prepare_folder
from training.engine.errors import DataRefused
from training.hagan.card import preparation_of
from training.hagan.config import HAGANConfig
from training.hagan.losses import generator_loss, low_resolution
from training.hagan.trainer import FAMILY, HAGANFamily, HAGANTrainer


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five scans with unequal sides, in HU."""
    folder = tmp_path_factory.mktemp("scans")
    rng = np.random.default_rng(0)
    for index in range(5):
        array = (rng.normal(size=(20, 24, 18)) * 200 - 400 + 100 * index).astype(np.int16)
        nib.save(nib.Nifti1Image(array, np.diag([2.0, 2.0, 3.0, 1.0])), folder / f"scan{index}.nii.gz")
    rows = "\n".join(f"scan{index}.nii.gz,{index % 2}" for index in range(5))
    (folder / "labels.csv").write_text(f"file,label\n{rows}\n")
    return folder


def config_for(scans: Path, out: Path, **changes: object) -> HAGANConfig:
    values = {
        "size": 32,
        "width": 8,
        "latent_dim": 8,
        "iterations": 3,
        "batch_size": 2,
        "save_every": 1,
        "log_every": 1,
    }
    return HAGANConfig.model_validate({"data": scans, "out": out, "trim_blank_slices": False, **values, **changes})


def train(config: HAGANConfig) -> Path:
    return course.train(config, FAMILY)


def weights(trainer: HAGANTrainer) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in trainer.networks.state_dict().items()}


def test_sub_volumes_of_both_resolutions_are_synchronised() -> None:
    volume = torch.arange(32.0).view(1, 1, 32, 1, 1).expand(1, 1, 32, 32, 32)
    features = low_resolution(volume)
    for start in range(29):
        slab, under = select_sub_volume(volume, start), select_features(features, start, 32)
        assert slab.shape[2] == 4
        assert under.shape[2] == 1
        assert slab[0, 0, 0, 0, 0] == under[0, 0, 0, 0, 0]


@pytest.mark.parametrize("name", ["discriminator", "generator", "encoder_high", "encoder_ground"])
def test_each_update_moves_its_own_parameters_only(scans: Path, tmp_path: Path, name: str) -> None:
    trainer = HAGANTrainer(config_for(scans, tmp_path))
    real = torch.rand(2, 1, 32, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    for other in set(trainer.optimisers) - {name}:
        for group in trainer.optimisers[other].param_groups:
            group["lr"] = 0.0
    before = weights(trainer)
    trainer.step(real, None)
    moved = {key for key, value in weights(trainer).items() if not torch.equal(value, before[key])}
    # Spectral normalisation's power iteration moves its vectors in every forward pass; they are no parameters.
    moved = {key for key in moved if not key.endswith(("_u", "_v"))}
    prefix = name.replace("_", ".")
    assert moved
    assert all(key.startswith(prefix) for key in moved)


def test_generated_classes_are_drawn_as_often_as_the_scans_have_them(scans: Path, tmp_path: Path) -> None:
    """Also after a resumed run, which reads its scans anew; a class without a scan is never drawn."""
    config = config_for(scans, tmp_path, classes=["0", "1", "none"], iterations=1)
    train(config)
    trainer = HAGANTrainer(config)
    FAMILY.survey(trainer, prepare_folder(scans, config.cache, preparation_of(config), config.classes))
    drawn = trainer.chance(7, 4000)
    for labels in (drawn.for_discriminator.labels, drawn.for_generator.labels):
        assert labels is not None
        shares = torch.bincount(labels, minlength=3) / 4000
        torch.testing.assert_close(shares, torch.tensor([0.6, 0.4, 0.0]), atol=0.03, rtol=0)


def test_the_course_surveys_the_scans_of_every_run(scans: Path, tmp_path: Path) -> None:
    seen: list[list[float]] = []

    class Watched(HAGANFamily):
        def survey(self, trainer: HAGANTrainer, scans: Scans) -> None:
            super().survey(trainer, scans)
            seen.append(trainer.class_frequencies.tolist())

    for iterations in (1, 2):
        course.train(config_for(scans, tmp_path, classes=["0", "1"], iterations=iterations), Watched())
    assert seen == [[3, 2], [3, 2]]


def test_discriminator_and_generator_are_given_other_latents(scans: Path, tmp_path: Path) -> None:
    drawn = HAGANTrainer(config_for(scans, tmp_path)).chance(0, 4)
    assert drawn.for_discriminator.z.shape == drawn.for_generator.z.shape
    assert not torch.isclose(drawn.for_discriminator.z, drawn.for_generator.z).any()


def test_the_class_loss_weighs_lambda_class_in_the_generators_update(scans: Path, tmp_path: Path) -> None:
    trainer = HAGANTrainer(config_for(scans, tmp_path, classes=["a", "b"]))
    assert trainer.config.lambda_class == 0.1
    z, labels = torch.randn(2, 8, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1])
    trainer.networks.eval()  # spectral normalisation at rest
    networks, one_hot = (trainer.generator, trainer.discriminator), trainer.one_hot(labels)
    with torch.no_grad():
        features = trainer.generator.common(z, one_hot)
        verdicts = [
            trainer.discriminator.high(trainer.generator.sub_volume(features, 3), 3),
            trainer.discriminator.low(trainer.generator.low(features)),
        ]
        alone, weighed = (generator_loss(*networks, z, one_hot, 3, labels, weight) for weight in (0.0, 0.1))
        classes = sum(torch.nn.functional.cross_entropy(verdict[1], labels) for verdict in verdicts)
    torch.testing.assert_close(weighed - alone, 0.1 * classes, atol=1e-6, rtol=1e-4)


def test_a_resumed_run_gives_the_same_weights_as_an_unbroken_one(scans: Path, tmp_path: Path) -> None:
    whole = train(config_for(scans, tmp_path / "whole", iterations=4, augment="light"))
    train(config_for(scans, tmp_path / "parts", iterations=2, augment="light"))
    parts = train(config_for(scans, tmp_path / "parts", iterations=4, augment="light"))
    assert (whole / "weights.safetensors").read_bytes() == (parts / "weights.safetensors").read_bytes()


def test_an_exported_model_is_served_and_encodes(scans: Path, tmp_path: Path) -> None:
    config = config_for(scans, tmp_path, classes=["mild", "severe"], name="two-classes")
    folder = train(config)
    from_card = load(folder, ModelCard.model_validate_json(
        (folder / "card.json").read_bytes()))  # fmt: skip
    w = from_card.map(torch.zeros(1, 8), 1)
    volume = from_card.synthesise(w, None)
    assert volume.shape == (1, 1, 32, 32, 32)
    assert from_card.encode(volume).shape == (1, 1, 8)
    assert (tmp_path / ".tensorboard").exists()


def test_a_run_can_start_from_a_model_of_the_same_sizes(scans: Path, tmp_path: Path) -> None:
    folder = train(config_for(scans, tmp_path / "first"))
    again = HAGANTrainer(config_for(scans, tmp_path / "second", seed=9))
    again.start_from(folder)
    served = load(folder, ModelCard.model_validate_json((folder / "card.json").read_bytes()))
    z = torch.randn(1, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(again.generator(z), served.synthesise(served.map(z), None), atol=1e-5, rtol=0)
    wider = HAGANTrainer(config_for(scans, tmp_path / "wider", width=16))
    with pytest.raises(DataRefused, match="other sizes"):
        wider.start_from(folder)


@pytest.mark.slow
def test_the_reconstruction_losses_fall(scans: Path, tmp_path: Path) -> None:
    trainer = HAGANTrainer(config_for(scans, tmp_path, lr_encoder=1e-3))
    ramp = torch.linspace(-1, 1, 32).view(1, 1, 32, 1, 1).expand(2, 1, 32, 32, 32).clone()
    for name in ("discriminator", "generator"):
        trainer.optimisers[name].param_groups[0]["lr"] = 1e-5
    losses = [trainer.step(ramp, None) for _ in range(60)]
    for name in ("encoder_high", "encoder_ground"):
        first = torch.stack([loss[name] for loss in losses[:10]]).mean()
        last = torch.stack([loss[name] for loss in losses[-10:]]).mean()
        assert last < first


def test_augmented_items_depend_on_seed_and_position_alone(scans: Path, tmp_path: Path) -> None:
    prepared = prepare_folder(scans, tmp_path / "cache", preparation_of(config_for(scans, tmp_path)))
    once = TrainingVolumes(prepared, 3, light_augmentation((32, 32, 32)))
    again = TrainingVolumes(prepared, 3, light_augmentation((32, 32, 32)))
    _ = once[4], once[1]
    assert torch.equal(once[7][0], again[7][0])
    assert not torch.equal(once[7][0], TrainingVolumes(prepared, 4, light_augmentation((32, 32, 32)))[7][0])


@pytest.mark.parametrize("ends", [(-1.0, 1.0), (0.0, 1.0)])
def test_augmented_items_are_plain_tensors_in_the_networks_range(
    scans: Path, tmp_path: Path, ends: tuple[float, float]
) -> None:
    how = replace(preparation_of(config_for(scans, tmp_path)), shape=(8, 8, 8), network_range=ends)
    items = TrainingVolumes(prepare_folder(scans, tmp_path / "cache", how), 0, light_augmentation((8, 8, 8)))
    for volume, _ in map(items.__getitem__, range(20)):
        assert type(volume) is torch.Tensor
        assert ends[0] <= float(volume.min()) <= float(volume.max()) <= ends[1]


def test_the_limit_of_uploads_is_not_that_of_training(tmp_path: Path) -> None:
    """What is refused comes after the check of its size."""
    header = nib.Nifti1Header()
    header.set_data_shape((512, 512, 560))
    header.set_data_dtype(np.int16)
    header["vox_offset"] = 352
    header.set_sform(np.eye(4), 1)
    (tmp_path / "scan.nii").write_bytes(header.binaryblock + b"\0" * 4)
    with pytest.raises(DataRefused, match=r"scan\.nii: .*(end|short|truncated)"):
        prepare_folder(tmp_path, tmp_path / "cache", preparation_of(config_for(tmp_path, tmp_path)))


def test_prepared_scans_are_cached(scans: Path, tmp_path: Path) -> None:
    how = preparation_of(config_for(scans, tmp_path))
    first = prepare_folder(scans, tmp_path / "cache", how)
    stamps = [path.stat().st_mtime_ns for path in first.paths]
    second = prepare_folder(scans, tmp_path / "cache", how)
    assert second.paths == first.paths
    assert [path.stat().st_mtime_ns for path in second.paths] == stamps


def test_data_that_cannot_be_trained_on_is_refused(scans: Path, tmp_path: Path) -> None:
    how = preparation_of(config_for(scans, tmp_path))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataRefused, match="no scans"):
        prepare_folder(tmp_path / "empty", tmp_path / "cache", how)
    with pytest.raises(DataRefused, match="no known class"):
        prepare_folder(scans, tmp_path / "cache", how, ["only-one"])
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.nii").write_bytes(b"not a volume")
    with pytest.raises(DataRefused, match=r"a\.nii"):
        prepare_folder(tmp_path / "broken", tmp_path / "cache", how)
