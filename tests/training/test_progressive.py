"""3D-ProGAN and 3D-StyleGAN as they are trained: schedule, losses, resumption, what is exported; their encoders."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from torch import Tensor

from model_store.card import ModelCard
from model_store.catalogue import Catalogue
from model_store.families.stylegan import ServedStyleGAN
from model_store.generator import Generator
from model_store.load import load
from model_store.sizes.progressive import stage_shape
from tests.support.models.tiny_progan import write_progan
from tests.support.models.tiny_stylegan import write_stylegan
from training.engine import course
from training.engine.data import TrainingVolumes, prepare_folder
from training.engine.errors import DataRefused
from training.progressive import encoder as encoders
from training.progressive.card import preparation_of
from training.progressive.config import EncoderConfig, ProGANConfig, StyleGANConfig
from training.progressive.encoder import EncoderTrainer
from training.progressive.inversion_losses import encoder_loss, half_square, latent_discriminator_loss, plausible_latent
from training.progressive.schedule import Schedule
from training.progressive.trainer import FAMILY, ProgressiveTrainer, StagedVolumes
from training.progressive.wgan import critic_loss, generator_loss, gradient_penalty

FAMILIES = {"progan": ProGANConfig, "stylegan": StyleGANConfig}
SHAPE = (4, 8, 4)


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three scans with unequal sides, in HU."""
    folder = tmp_path_factory.mktemp("scans")
    rng = np.random.default_rng(0)
    for index in range(3):
        array = (rng.normal(size=(9, 12, 8)) * 200 - 400 + 300 * index).astype(np.int16)
        nib.save(nib.Nifti1Image(array, np.diag([2.0, 2.0, 3.0, 1.0])), folder / f"scan{index}.nii.gz")
    return folder


def config_for(family: str, scans: Path, out: Path, **changes: Any) -> ProGANConfig | StyleGANConfig:
    values = {
        "base": (1, 2, 1), "stages": 2, "channels": 2, "critic_channels": 2, "z_dim": 8, "stage_samples": 8,
        "batch_size": 2, "critic_steps": 2, "save_every": 1, "log_every": 1, "trim_blank_slices": False,
        "average": 0.5,
    }  # fmt: skip
    if family == "stylegan":
        values |= {"w_dim": 8, "mapping_layers": 2}
    return FAMILIES[family].model_validate({"data": scans, "out": out, **values, **changes})


def train(config: ProGANConfig | StyleGANConfig) -> Path:
    return course.train(config, FAMILY)


def train_encoder(config: EncoderConfig) -> Path:
    return course.train(config, encoders.FAMILY)


def served(folder: Path) -> Generator:
    return load(folder, ModelCard.model_validate_json((folder / "card.json").read_bytes()))


def volumes(count: int, seed: int = 0) -> Tensor:
    return torch.rand(count, 1, *SHAPE, generator=torch.Generator().manual_seed(seed))


def test_the_default_schedule_is_the_papers() -> None:
    """Appendix B: minibatches of 24, 24, 12, 6, 3; 180k samples on stage 1, then 360k each, half of them fading in."""
    schedule = Schedule(5, critic_steps=5)
    assert [schedule.batch_at(stage) for stage in range(1, 6)] == [24, 24, 12, 6, 3]
    seen = [0] * 6
    fading = [0] * 6
    for iteration in range(schedule.iterations):
        moment = schedule.at(iteration)
        seen[moment.stage] += schedule.samples_at(moment.stage)
        fading[moment.stage] += schedule.samples_at(moment.stage) * (moment.alpha < 1)
        assert moment.decay == pytest.approx(0.85 ** (moment.stage - 1))
    assert seen[1:] == [180_000, 360_000, 360_000, 360_000, 360_000]
    # The iteration that completes a transition is at alpha 1.
    for stage in (2, 3, 4, 5):
        assert fading[stage] == 180_000 - schedule.samples_at(stage)


def test_alpha_grows_evenly_through_a_transition() -> None:
    schedule = Schedule(2, stage_samples=40, batch_size=2, critic_steps=2)
    moments = [schedule.at(k) for k in range(schedule.iterations)]
    first = next(k for k, moment in enumerate(moments) if moment.stage == 2)
    assert [moment.alpha for moment in moments[first : first + 10]] == pytest.approx([k / 10 for k in range(1, 11)])
    assert all(moment.alpha == 1 for moment in moments[first + 10 :])
    assert schedule.last_stage == first + 10


def test_a_resumed_run_takes_up_the_sequence_of_samples_where_it_was() -> None:
    schedule = Schedule(3, stage_samples=20, batch_size=1, critic_steps=3)
    whole = list(schedule.samples(0, schedule.iterations + 5))
    assert [k for place in whole for k in place] == list(range(whole[-1].stop))
    for first in range(len(whole)):
        assert next(schedule.samples(first, first + 1)) == whole[first]


def test_the_losses_are_equations_1_and_2() -> None:
    """Against a linear critic f(x) = <a, x> + b, whose gradient is a wherever x is."""
    slope = torch.randn(SHAPE, generator=torch.Generator().manual_seed(5))

    def critic(x: Tensor) -> Tensor:
        return (x * slope).flatten(1).sum(1) + 0.5

    real, made, mix = volumes(3, 1), volumes(3, 2), torch.tensor([0.0, 0.3, 1.0])
    penalty = (slope.norm() - 1) ** 2
    torch.testing.assert_close(gradient_penalty(critic, real, made, mix), penalty)
    loss, distance = critic_loss(critic, real, made, mix)
    expected = critic(made).mean() - critic(real).mean() + 10 * penalty + 1e-3 * (critic(real) ** 2).mean()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(distance, critic(real).mean() - critic(made).mean())
    torch.testing.assert_close(generator_loss(critic, made), -critic(made).mean())


def test_the_penalty_is_two_sided_and_taken_between_the_volumes() -> None:
    """f(x) = |x|^2 / 2 has gradient x, so the penalty tells where it was taken."""
    real, made, mix = torch.zeros(1, 1, *SHAPE), torch.full((1, 1, *SHAPE), 0.5), torch.tensor([0.25])
    norm = (0.25 * 0.5) * (4 * 8 * 4) ** 0.5
    found = gradient_penalty(lambda x: x.square().flatten(1).sum(1) / 2, real, made, mix)
    assert found.item() == pytest.approx((norm - 1) ** 2, rel=1e-5)
    flat = gradient_penalty(lambda x: 0.001 * x.flatten(1).sum(1), real, made, mix)
    assert flat.item() == pytest.approx((0.001 * 128**0.5 - 1) ** 2, rel=1e-4)  # too small a gradient costs as well


@pytest.mark.parametrize("family", FAMILIES)
def test_an_iteration_moves_the_stage_that_is_trained_and_no_later_one(family: str, tmp_path: Path) -> None:
    trainer = ProgressiveTrainer(config_for(family, tmp_path, tmp_path))
    before = {key: value.clone() for key, value in trainer.generator.state_dict().items()}
    losses = trainer.step(volumes(8), torch.full((8,), -1))
    moved = {key for key, value in trainer.generator.state_dict().items() if not torch.equal(value, before[key])}
    assert any("stages.0." in key for key in moved)
    assert not any("stages.1." in key or "to_image.1" in key for key in moved)
    assert all(torch.isfinite(loss) for loss in losses.values())


def test_learning_rates_are_the_papers(tmp_path: Path) -> None:
    """The mapping learns at 0.02 of the rate; the second stage has 0.85 of it."""
    trainer = ProgressiveTrainer(config_for("stylegan", tmp_path, tmp_path, learning_rate=4e-3))
    trainer.iteration = trainer.schedule.last_stage
    trainer.step(volumes(4), torch.full((4,), -1))
    assert [group["lr"] for group in trainer.optimisers["generator"].param_groups] == pytest.approx([3.4e-3, 6.8e-5])
    assert trainer.optimisers["critic"].param_groups[0]["lr"] == pytest.approx(3.4e-3)


def test_a_stage_reads_volumes_of_its_own_resolution_to_the_same_end(scans: Path, tmp_path: Path) -> None:
    config = config_for("progan", scans, tmp_path)
    whole = TrainingVolumes(prepare_folder(scans, config.cache, preparation_of(config)), config.seed)
    staged, schedule = StagedVolumes(whole), config.schedule
    one, other = ProgressiveTrainer(config), ProgressiveTrainer(config)
    for iteration, items in enumerate(schedule.items(0, schedule.iterations)):
        small = torch.stack([staged[item][0] for item in items])
        large = torch.stack([whole[place][0] for place, _ in items])
        assert small.shape[2:] == stage_shape(config.base, schedule.at(iteration).stage)
        labels = torch.full((len(items),), -1)
        assert one.step(small, labels) == other.step(large, labels)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_run_resumed_across_a_transition_gives_the_same_weights(family: str, scans: Path, tmp_path: Path) -> None:
    whole = train(config_for(family, scans, tmp_path / "whole", augment="light"))
    train(config_for(family, scans, tmp_path / "parts", augment="light", iterations=2))
    parts = train(config_for(family, scans, tmp_path / "parts", augment="light"))
    assert (whole / "weights.safetensors").read_bytes() == (parts / "weights.safetensors").read_bytes()
    model = served(whole)
    w = model.map(torch.zeros(1, 8))
    volume = model.synthesise(w, None)
    assert volume.shape == (1, 1, *SHAPE)
    assert 0 <= float(volume.min()) <= float(volume.max()) <= 1
    assert len(model.critic_features(volume)) == 2
    assert model.card.provenance.iterations == {"adversarial": 5}  # 1 on the first stage, 2 fading in, 2 more
    assert (tmp_path / "whole" / ".tensorboard").exists()
    catalogue = Catalogue([tmp_path / "whole"])
    assert [card.name for card in catalogue.cards()] == [family]
    assert not catalogue.broken()


def test_the_exported_mean_style_is_the_mean_of_the_mapping(scans: Path, tmp_path: Path) -> None:
    model = served(train(config_for("stylegan", scans, tmp_path, iterations=1)))
    z = torch.randn(20_000, 8, generator=torch.Generator().manual_seed(9))
    w = model.map(z)
    assert model.card.truncation.kind == "psi"
    spread = w.std(0)
    assert ((w.mean(0) - model.mean_style()).abs() < 0.05 * spread + 1e-6).all()
    assert float(model.mean_style().abs().max()) > 0


def test_a_run_can_start_from_a_model_and_then_trains_its_last_stage(scans: Path, tmp_path: Path) -> None:
    first = train(config_for("stylegan", scans, tmp_path / "first"))
    config = config_for("stylegan", scans, tmp_path / "second", start_from=first, iterations=2, seed=4)
    trainer = ProgressiveTrainer(config)
    trainer.start_from(first)
    z = torch.randn(2, 8, generator=torch.Generator().manual_seed(0))
    model = served(first)
    torch.testing.assert_close(trainer.averaged().mapping(z), model.map(z)[:, 0], atol=1e-5, rtol=0)
    assert trainer.schedule.at(trainer.iteration).stage == 2
    assert served(train(config)).card.provenance.iterations == {"adversarial": 2}
    with pytest.raises(DataRefused, match="other sizes"):
        ProgressiveTrainer(config_for("stylegan", scans, tmp_path, channels=4)).start_from(first)


def encoder_config(model: Path, scans: Path, out: Path, **changes: Any) -> EncoderConfig:
    values = {"model": model, "data": scans, "out": out, "name": "with-encoder", "iterations": 4, "batch_size": 2}
    return EncoderConfig.model_validate({**values, "save_every": 1, "log_every": 1, **changes})


@pytest.mark.parametrize("family", FAMILIES)
def test_an_encoder_is_added_to_a_model_and_nothing_else_changes(family: str, scans: Path, tmp_path: Path) -> None:
    model = train(config_for(family, scans, tmp_path / "model", iterations=1))
    whole = train_encoder(encoder_config(model, scans, tmp_path / "whole"))
    train_encoder(encoder_config(model, scans, tmp_path / "parts", iterations=2))
    parts = train_encoder(encoder_config(model, scans, tmp_path / "parts"))
    assert (whole / "weights.safetensors").read_bytes() == (parts / "weights.safetensors").read_bytes()
    before, after = served(model), served(whole)
    assert after.card.has_encoder
    assert not before.card.has_encoder
    assert after.card.provenance.iterations == {"adversarial": 1, "encoder": 4}
    latent = after.encode(volumes(2))
    assert latent.shape == (2, after.card.latent.num_styles, 8)
    torch.testing.assert_close(after.synthesise(latent, None), before.synthesise(latent, None))


def test_the_encoder_comes_to_reconstruct(tmp_path: Path) -> None:
    """On volumes that the generator made, eq. 6 falls; the random generator's own volumes differ little."""
    card = write_progan(tmp_path, base=(1, 2, 1), encoder=False, critic=False)
    trainer = EncoderTrainer(encoder_config(tmp_path / card.name, tmp_path, tmp_path), card)
    z = torch.randn(8, card.latent.z_dim, generator=torch.Generator().manual_seed(1))
    real = trainer.model.synthesise(trainer.model.map(z), None)
    losses = [float(trainer.step(real, torch.full((8,), -1))["encoder"]) for _ in range(40)]
    assert sum(losses[-10:]) < 0.9 * sum(losses[:10])


def test_the_encoders_losses_are_equations_3_to_9() -> None:
    made, real = volumes(2, 1), volumes(2, 2)
    torch.testing.assert_close(half_square(made, real), 0.5 * ((made - real) ** 2).mean())
    logits = torch.tensor([0.3, -1.2])
    torch.testing.assert_close(plausible_latent(logits), -torch.sigmoid(logits).log().mean())
    torch.testing.assert_close(
        latent_discriminator_loss(logits, logits),
        -torch.sigmoid(logits).log().mean() - (1 - torch.sigmoid(logits)).log().mean(),
    )
    terms = {"distortion": torch.tensor(2.0), "latent": torch.tensor(3.0), "perceptual": torch.tensor(5.0)}
    assert float(encoder_loss(terms, has_style_space=False)) == pytest.approx(2 + 3 + 5)
    assert float(encoder_loss(terms, has_style_space=True)) == pytest.approx(5 * 2 + 0.04 * 3 + 5)


def test_the_latent_discriminator_learns_to_tell_codes_apart(tmp_path: Path) -> None:
    card = write_stylegan(tmp_path, base=(1, 2, 1), encoder=False)
    trainer = EncoderTrainer(encoder_config(tmp_path / card.name, tmp_path, tmp_path), card)
    assert isinstance(trainer.model, ServedStyleGAN)
    trainer.optimisers["encoder"].param_groups[0]["lr"] = 0.0
    losses = [float(trainer.step(volumes(2), torch.full((2,), -1))["discriminator"]) for _ in range(60)]
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])


def test_an_encoder_for_another_family_is_refused(tmp_path: Path) -> None:
    card = write_stylegan(tmp_path)
    with pytest.raises(DataRefused, match="of family hagan"):
        EncoderTrainer(
            encoder_config(tmp_path / card.name, tmp_path, tmp_path), card.model_copy(update={"family": "hagan"})
        )
