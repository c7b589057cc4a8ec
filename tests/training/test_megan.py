"""Training of MEGAN: conditions as the paper degrades them, resuming, and a model that translates."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from typer.testing import CliRunner

from model_store.card import TranslatorCard
from model_store.catalogue import Catalogue
from model_store.families.megan import ServedMEGAN
from model_store.load import load
from model_store.networks.megan import enlarged_middle
from training.engine.course import train
from training.engine.data import Scans, prepare_folder
from training.engine.errors import DataRefused
from training.megan.augmentation import degraded
from training.megan.config import MEGANConfig
from training.megan.networks import LowCritic, PatchCritic
from training.megan.patches import Examples
from training.megan.trainer import FAMILY
from voxelsmith.cli import app
from workers.bench import Bench
from workers.run import run
from workers.writing.folder_sink import FolderSink


def save_scans(folder: Path, count: int = 2, side: int = 44) -> Path:
    """Balls in balls, of unequal sides."""
    folder.mkdir(parents=True)
    for k in range(count):
        x, y, z = np.ogrid[:side, : side - 4, : side - 8]
        radius = np.sqrt((x - 20.0 - k) ** 2 + (y - 20.0) ** 2 + (z - 17.0) ** 2)
        array = ((radius < 16) * 300 + (radius < 8 + k) * 200).astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(array, np.diag([2.0, 2.0, 2.0, 1.0])), folder / f"{k}.nii.gz")
    return folder


def tiny(tmp_path: Path, out: str = "out", **fields: object) -> MEGANConfig:
    data = tmp_path / "scans"
    if not data.exists():
        save_scans(data)
    sizes = {"lr_size": 16, "doublings": 1, "lr_width": 2, "hr_width": 2, "lr_blocks": 1, "hr_blocks": 1}
    usual = {"critic_width": 2, "batch_size": 2, "iterations": 2, "save_every": 1, "log_every": 1, "picture_every": 2}
    return MEGANConfig.model_validate({"data": data, "out": tmp_path / out, **sizes, **usual, **fields})


def prepared(config: MEGANConfig) -> Scans:
    return prepare_folder(config.data, config.cache, FAMILY.preparation(FAMILY.trainer(config)))


def test_a_run_ends_in_a_model_that_translates(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    config = tiny(tmp_path, target_domain="balls")
    folder = train(config, FAMILY, lambda done, total, _: seen.append((done, total)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    card = Catalogue([tmp_path / "out"]).card(folder.name)
    assert isinstance(card, TranslatorCard)
    assert (card.target_domain, card.grid, card.verbs) == ("balls", "scan", ("translate",))
    bench = Bench(Catalogue([tmp_path / "out"]), threads=1)
    manifest = run("translate", {"model": "megan"}, config.data / "0.nii.gz", bench, FolderSink(tmp_path / "made"))
    assert manifest.results[0].shape == [44, 40, 36]


def test_a_resumed_run_ends_where_an_unbroken_one_does(tmp_path: Path) -> None:
    whole = train(tiny(tmp_path, "whole"), FAMILY)

    def stop(done: int, total: int, losses: dict[str, float]) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tiny(tmp_path, "broken"), FAMILY, stop)
    again = train(tiny(tmp_path, "broken"), FAMILY)
    first, second = load_file(whole / "weights.safetensors"), load_file(again / "weights.safetensors")
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_each_network_has_its_iterations_and_the_others_hold_still(tmp_path: Path) -> None:
    config = tiny(tmp_path, l1_weight=100.0)
    trainer, examples = FAMILY.trainer(config), Examples(prepared(config), config)
    for index in range(4):
        before = {key: value.clone() for key, value in trainer.cascade.state_dict().items()}
        trainer.step(*examples[index])
        changed = {
            key.split(".")[1] for key, value in trainer.cascade.state_dict().items() if not value.equal(before[key])
        }
        assert changed == {str(index // 2)}


def test_an_example_is_the_seeds_and_its_index(tmp_path: Path) -> None:
    config = tiny(tmp_path, lr_size=32)
    examples = Examples(prepared(config), config)
    low, edges = examples[0]
    assert low.shape[:2] == edges.shape[:2] == (1, 1)
    assert [2 * side for side in low.shape[2:]] == list(edges.shape[2:])
    images, conditions = examples[2]
    assert (images.shape, conditions.shape) == ((2, 1, 32, 32, 32), (2, 2, 32, 32, 32))
    for first, second in zip(examples[2], Examples(examples.scans, config)[2], strict=True):
        assert torch.equal(first, second)
    assert not torch.equal(examples[2][0], examples[3][0])
    # The middle of the coarser patch is what the fine patch shows, at half the resolution.
    small = torch.nn.functional.avg_pool3d(images, 2)
    inside = conditions[:, :1, 8:24, 8:24, 8:24]
    assert float((small - inside).abs().mean()) < 0.12


def test_contrasts_change_the_edges_and_never_the_image(tmp_path: Path) -> None:
    plain = np.load(prepared(tiny(tmp_path, "plain", lr_size=32)).paths[0])
    config = tiny(tmp_path, "many", lr_size=32, contrasts=3)
    scans = prepared(config)
    parts = np.load(scans.paths[0])
    assert (len(plain), len(parts)) == (2, 5)
    assert np.array_equal(parts[:2], plain)
    assert len({part.tobytes() for part in parts[1:]}) == 4
    examples = Examples(scans, config)
    seen = {examples[index][1].numpy().tobytes() for index in range(2)}
    assert len(seen) == 2  # of one scan or two, other drawings


def test_what_is_added_to_the_coarser_image_lies_on_it(tmp_path: Path) -> None:
    config = tiny(tmp_path, lr_size=32)
    images, conditions = Examples(prepared(config), config)[2]
    enlarged = enlarged_middle(conditions[:, :1])
    assert enlarged.shape == images.shape
    assert float((enlarged - images).abs().mean()) < 0.06
    elsewhere = enlarged_middle(conditions[:, :1].roll(4, dims=2))
    assert float((enlarged - images).abs().mean()) < 0.5 * float((elsewhere - images).abs().mean())


def test_a_model_says_what_is_not_the_papers(tmp_path: Path) -> None:
    folder = train(tiny(tmp_path, adds_coarse=True, skips=True, blends=True, edge_power=0.5), FAMILY)
    model = load(folder, Catalogue([folder.parent]).card(folder.name))
    assert isinstance(model, ServedMEGAN)
    assert [(level.adds, level.skips, level.aligns) for level in model.cascade.levels] == [
        (False, True, False),
        (True, True, True),
    ]
    assert model.cascade.edge_power == 0.5
    assert model.network.blends


def test_image_and_edges_are_deformed_alike(tmp_path: Path) -> None:
    scans = prepared(tiny(tmp_path, lr_size=32))
    one = Scans(scans.paths[:1], None, scans.network_range)
    (plain, _), (image, edges) = (Examples(one, tiny(tmp_path, lr_size=32, deformed=share))[0] for share in (0.0, 1.0))
    assert float((image - plain).abs().mean()) > 0.05
    steepness = sum(part.abs() for part in torch.gradient(image[0, 0]))
    drawn = torch.nn.functional.avg_pool3d(edges, 2)[0, 0] > -0.9
    assert float(steepness[drawn].mean()) > 3 * float(steepness[~drawn].mean())


def test_left_and_right_are_exchanged_where_asked(tmp_path: Path) -> None:
    scans = prepared(tiny(tmp_path, lr_size=32))
    one = Scans(scans.paths[:1], None, scans.network_range)
    (image, edges), (mirrored, drawn) = (
        Examples(one, tiny(tmp_path, lr_size=32, axes="ARS", mirrored=share))[0] for share in (0.0, 1.0)
    )
    assert torch.equal(image.flip(3), mirrored)
    assert torch.equal(edges.flip(3), drawn)
    assert not torch.equal(image, mirrored)


def save_masks(folder: Path, scans: Path) -> Path:
    """Of the first scan: its inner ball, off the grid's middle."""
    folder.mkdir()
    image = nibabel.load(scans / "0.nii.gz")
    ball = (np.asarray(image.dataobj) == 500).astype(np.uint8) * 2
    nibabel.save(nibabel.Nifti1Image(ball, image.affine), folder / "0.nii.gz")
    return folder


def test_pathologies_lie_over_the_edges_and_change_their_size_with_the_image(tmp_path: Path) -> None:
    plain = tiny(tmp_path, lr_size=32)
    masks = save_masks(tmp_path / "masks", plain.data)
    sized = [tiny(tmp_path, lr_size=32, masks=masks, resized=share) for share in (0.0, 1.0)]
    scans = prepare_folder(
        plain.data, plain.cache, FAMILY.preparation(FAMILY.trainer(sized[0])), masks=FAMILY.masks(sized[0])
    )
    ill, healthy = (np.load(path) for path in scans.paths)
    assert (len(ill), len(healthy)) == (3, 3)
    assert np.array_equal(healthy[:2], np.load(prepared(plain).paths[1]))
    assert (healthy[2] == -1).all()
    inside = ill[2] == ill[2].max()
    assert ill[1][inside].min() == pytest.approx(127 / 127.5 - 1, abs=1e-3)
    one = Scans(scans.paths[:1], None, scans.network_range)
    counts = []
    for index in range(4):
        (image, edges), (changed, drawn) = (
            Examples(one, config).load(scans.paths[0], np.random.default_rng(index)) for config in sized
        )
        bright, dense = (float((part > 0.5).sum()) for part in (image, changed))
        assert float((image[:2] - changed[:2]).abs().max()) == 0  # far from the pathology all is as it was
        counts.append((dense / bright, float((drawn > -0.1).sum() / (edges > -0.1).sum())))
    sizes, marked = np.array(counts).T
    assert sizes.min() < 0.95
    assert sizes.max() > 1.05
    assert np.corrcoef(sizes, marked)[0, 1] > 0.95
    folder = train(tiny(tmp_path, "ill", masks=masks), FAMILY)
    assert "with masks of pathologies" in (folder / "card.json").read_text()


def test_masks_that_belong_to_no_scan_or_do_not_fit_theirs_are_named(tmp_path: Path) -> None:
    config = tiny(tmp_path)
    masks = save_masks(tmp_path / "masks", config.data)
    ball = nibabel.load(masks / "0.nii.gz")
    nibabel.save(nibabel.Nifti1Image(np.asarray(ball.dataobj)[1:], ball.affine), masks / "1.nii.gz")
    with pytest.raises(DataRefused, match=r"1\.nii\.gz: The mask does not lie on the scan's grid"):
        train(tiny(tmp_path, masks=masks), FAMILY)
    (masks / "1.nii.gz").rename(masks / "2.nii.gz")
    with pytest.raises(DataRefused, match=r"there is no scan 2\.nii\.gz"):
        train(tiny(tmp_path, "other", masks=masks), FAMILY)
    assert not (tmp_path / "other").exists()


def test_conditions_are_degraded_as_often_as_the_paper_says(tmp_path: Path) -> None:
    config = tiny(tmp_path, low_noise=0.0, edge_noise=0.0)
    clean = torch.rand(400, 2, 8, 8, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1
    seen = degraded(clean, config, torch.Generator().manual_seed(2))
    assert torch.equal(seen[:, 1], clean[:, 1])
    touched = (seen[:, 0] != clean[:, 0]).flatten(1).any(dim=1).float().mean()
    assert abs(float(touched) - (1 - 0.7 * 0.8)) < 0.07
    noisy = degraded(clean, tiny(tmp_path, blurred=0.0, halved=0.0), torch.Generator().manual_seed(3)) - clean
    assert float(noisy[:, 0].std()) == pytest.approx(0.05, rel=0.05)
    assert float(noisy[:, 1].std()) == pytest.approx(0.01, rel=0.05)


def test_verdicts_have_one_channel() -> None:
    assert LowCritic(2)(torch.zeros(1, 1, 16, 24, 16), torch.zeros(1, 1, 32, 48, 32)).shape == (1, 1, 2, 3, 2)
    assert PatchCritic(2)(torch.zeros(3, 1, 32, 32, 32), torch.zeros(3, 2, 32, 32, 32)).shape == (3, 1, 1, 1, 1)


def test_scans_that_cannot_be_trained_on_are_named(tmp_path: Path) -> None:
    config = tiny(tmp_path)
    small = np.zeros((14, 14, 14), dtype=np.int16)
    small[5:9, 5:9, 5:9] = 9
    nibabel.save(nibabel.Nifti1Image(small, np.eye(4)), config.data / "z.nii.gz")
    with pytest.raises(DataRefused, match=r"z\.nii\.gz: The scan has too few voxels"):
        train(tiny(tmp_path, doublings=2), FAMILY)


def test_sizes_that_no_cascade_has_are_refused(tmp_path: Path) -> None:
    for fields in ({"lr_size": 18}, {"lr_size": 512, "doublings": 2}, {"axes": "RAR"}, {"window": (5.0, 5.1)}):
        with pytest.raises(ValidationError):
            tiny(tmp_path, **fields)


def test_the_command_trains(tmp_path: Path) -> None:
    data, sizes = save_scans(tmp_path / "scans"), ["--lr-size", "16", "--doublings", "1", "--iterations", "1"]
    widths = ["--lr-width", "2", "--hr-width", "2", "--lr-blocks", "1", "--hr-blocks", "1", "--critic-width", "2"]
    words = [
        "train",
        "megan",
        "--data",
        str(data),
        "--out",
        str(tmp_path / "out"),
        "--batch-size",
        "1",
        *sizes,
        *widths,
    ]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "out" / "megan" / "weights.safetensors").is_file()
