"""Measures of a translation against their definitions, and whether patches show."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view

from evaluation.translation import Watched, foreground, likeness, mean_of, measure, seam_ratio, seams
from model_store.catalogue import Catalogue
from model_store.families.base import ServedTranslator
from model_store.load import load
from model_store.networks.patches import PATCH, RIM, Stitcher, starts, windows
from model_store.translator import Guide, Slab
from tests.support.models.tiny_megan import write_megan
from volumes.similarity import ssim

RANDOM = np.random.default_rng(0)


def body(shape: tuple[int, int, int] = (30, 26, 24)) -> np.ndarray:
    """Tissue of 0.5 with a cavity of air, in air; something small apart from it."""
    array = np.zeros(shape, dtype=np.float32)
    array[5:25, 5:20, 4:20] = 0.5
    array[10:15, 10:15, 10:15] = 0.0
    array[0:2, 0:2, 0:2] = 0.9
    return array


def test_measures_of_a_constant_difference_are_known() -> None:
    real = body()
    made = real + np.float32(0.1)
    found = measure(made, real)
    for part in (found.whole, found.foreground):
        assert part.mae == pytest.approx(0.1, abs=1e-6)
        assert part.mse == pytest.approx(0.01, abs=1e-6)
        assert part.psnr_db == pytest.approx(20, abs=1e-3)
    same = measure(real, real)
    assert (same.whole.psnr_db, same.whole.mse) == (None, 0)
    assert same.whole.ssim == pytest.approx(1)
    both = mean_of([found, same])
    assert both.whole.mae == pytest.approx(0.05, abs=1e-6)
    assert both.whole.psnr_db == found.whole.psnr_db
    with pytest.raises(ValueError, match="shapes differ"):
        measure(made[1:], real)


def test_background_makes_a_whole_volume_look_alike_and_the_mask_shows_it() -> None:
    real = body()
    made = np.where(real > 0.1, real + RANDOM.normal(0, 0.1, real.shape), real).astype(np.float32)
    found = measure(made, real)
    assert found.foreground.mae > 2 * found.whole.mae
    assert found.foreground.ssim < found.whole.ssim
    assert likeness(made, real, np.ones(real.shape, dtype=bool)) == found.whole


def test_the_foreground_is_the_body_with_its_cavities() -> None:
    mask = foreground(body())
    assert mask[12, 12, 12]
    assert not mask[0, 0, 0]
    assert int(mask.sum()) == 20 * 15 * 16
    assert foreground(np.zeros((8, 8, 8), dtype=np.float32)).all()


def test_ssim_of_a_mask_counts_the_windows_whose_middle_is_in_it() -> None:
    a = RANDOM.random((33, 11, 9)).astype(np.float32)
    b = a + RANDOM.normal(0, 0.1, a.shape).astype(np.float32)
    where = RANDOM.random(a.shape) > 0.5
    x, y = (sliding_window_view(part.astype(float), (7, 7, 7)).reshape(-1, 343) for part in (a, b))
    mx, my = x.mean(1), y.mean(1)
    covariance = ((x - mx[:, None]) * (y - my[:, None])).sum(1) / 342
    each = (2 * mx * my + 1e-4) * (2 * covariance + 9e-4)
    each /= (mx**2 + my**2 + 1e-4) * (x.var(1, ddof=1) + y.var(1, ddof=1) + 9e-4)
    counted = where[3:-3, 3:-3, 3:-3].reshape(-1)
    assert ssim(a, b, 1.0, where=where) == pytest.approx(each[counted].mean(), abs=1e-9)
    assert ssim(a, b, 1.0, 2, np.ones(a.shape, dtype=bool)) == ssim(a, b, 1.0)
    with pytest.raises(ValueError, match="no window"):
        ssim(a, b, 1.0, where=np.zeros(a.shape, dtype=bool))


def stitched(offset: float, blends: bool = False) -> np.ndarray:
    """Of patches of one noise, each with an offset of its own."""
    noise = torch.from_numpy(RANDOM.random((92, 72, 72)).astype(np.float32))
    stitcher, parts = Stitcher((92, 72, 72), blends), []
    for a0, a1, a2 in windows((92, 72, 72)):
        patch = noise[a0 : a0 + PATCH, a1 : a1 + PATCH, a2 : a2 + PATCH] + offset * float(RANDOM.random())
        parts += [planes for _, planes in stitcher.add((a0, a1, a2), patch)]
    whole: np.ndarray = torch.cat([*parts, stitcher.rest()[1]]).numpy()
    return whole


def test_seams_are_where_the_middle_of_another_patch_begins() -> None:
    assert starts(92) == [0, 20, 40, 60]
    assert seams(92) == [RIM - 1, 25, 45, 65, 85]
    assert seams(PATCH) == seams(20) == []


def test_patches_that_do_not_fit_together_show_and_others_do_not() -> None:
    assert seam_ratio(stitched(0.0)) == pytest.approx(1.0, abs=0.02)
    assert (seam_ratio(stitched(1.0)) or 0) > 1.1
    assert seam_ratio(stitched(1.0, blends=True)) == pytest.approx(1.0, abs=0.03)
    assert seam_ratio(np.full((64, 64, 64), 0.5, dtype=np.float32)) is None
    assert seam_ratio(RANDOM.random((32, 32, 32)).astype(np.float32)) is None


def test_a_watched_translator_keeps_its_image_and_may_end_early(tmp_path: Path) -> None:
    card = write_megan(tmp_path, "tiny", levels=1)
    served = load(tmp_path / "tiny", Catalogue([tmp_path]).card(card.name))
    assert isinstance(served, ServedTranslator)
    for doublings, side in ((None, 32), (0, 16)):
        watched = Watched(served, doublings)
        assert watched.drawing.doublings == (1 if doublings is None else 0)
        drawn = torch.from_numpy(RANDOM.integers(0, 256, (32, 32, 32)).astype(np.uint8))
        guide = Guide(drawn, (side,) * 3, ((0.0, 31.0),) * 3, watched.drawing.doublings)
        slabs = torch.cat([event.planes for event in watched.translate(guide) if isinstance(event, Slab)])
        np.testing.assert_allclose(watched.image, (slabs.numpy() + 1) / 2, atol=1e-6)
        assert watched.image.shape == (side, side, side)
