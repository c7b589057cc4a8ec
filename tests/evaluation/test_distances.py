"""Every distance against a closed form, against an independent evaluation, and where its answer is known."""

import numpy as np
import pytest
import torch
from monai.metrics import MultiScaleSSIMMetric
from monai.metrics.fid import get_fid_score
from numpy.typing import NDArray
from scipy import linalg

from evaluation import measuring
from evaluation.distances import frechet, kernels, memorisation, ms_ssim, neighbours, spread
from model_store.features.neighbours import MOST_REALISM

Points = NDArray[np.float64]


def normal(n: int, d: int, seed: int, shift: float = 0.0, scale: float = 1.0) -> Points:
    return np.random.default_rng(seed).normal(shift, scale, (n, d))


# -- Frechet ---------------------------------------------------------------------------------------------------------


def published(x: Points, y: Points) -> float:
    """As the HA-GAN authors' script evaluates it: the covariances' product, its square root by Schur's method."""
    s1, s2 = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = linalg.sqrtm(s1 @ s2)
    return float(((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(s1 + s2 - 2 * root.real))


def test_equal_sets_are_no_distance_apart() -> None:
    for n, d in ((30, 100), (300, 20)):
        assert frechet.frechet(normal(n, d, 0), normal(n, d, 0)) == pytest.approx(0, abs=1e-6)


@pytest.mark.filterwarnings("ignore:The `disp` argument:DeprecationWarning")  # of MONAI
@pytest.mark.parametrize(("n", "m", "d"), [(400, 300, 24), (60, 40, 200), (80, 10, 40)])
def test_frechet_is_that_of_the_published_formula_and_of_monai(n: int, m: int, d: int) -> None:
    x, y = normal(n, d, 1) @ normal(d, d, 2), normal(m, d, 3, 0.5) @ normal(d, d, 4)
    own = frechet.frechet(x, y)
    if min(n, m) > d:
        assert own == pytest.approx(published(x, y), rel=1e-6)
        monai = float(get_fid_score(torch.from_numpy(x), torch.from_numpy(y)))
        assert own == pytest.approx(monai, rel=1e-3)
    else:  # singular covariances: an independent way, by the root of a symmetric product
        s1, s2 = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
        root = linalg.sqrtm(s1 + 1e-9 * np.eye(d)).real
        values = np.linalg.eigvalsh(root @ s2 @ root)
        other = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(s1 + s2) - 2 * np.sqrt(values.clip(0)).sum()
        assert own == pytest.approx(other, rel=1e-3)


def test_frechet_of_two_gaussians_is_the_closed_form() -> None:
    """|m1 - m2|^2 + sum (s1 - s2)^2 of independent coordinates."""
    d = 4
    x, y = normal(40_000, d, 5), normal(40_000, d, 6, shift=2.0, scale=1.5)
    assert frechet.frechet(x, y) == pytest.approx(d * (2.0**2 + 0.5**2), rel=0.01)


def test_a_shifted_coordinate_adds_the_square() -> None:
    x = normal(50, 10, 7)
    moved = x.copy()
    moved[:, 3] += 0.7
    assert frechet.frechet(x, moved) == pytest.approx(0.49, abs=1e-9)


def test_one_moved_point_changes_it_by_what_its_moments_say() -> None:
    x = normal(50, 1, 8)
    moved = x.copy()
    moved[0] += 5
    expected = (x.mean() - moved.mean()) ** 2 + (x.std(ddof=1) - moved.std(ddof=1)) ** 2
    assert frechet.frechet(x, moved) == pytest.approx(expected, rel=1e-9)


def test_few_samples_of_one_distribution_seem_apart_and_at_infinity_are_not() -> None:
    x, y = normal(400, 16, 9), normal(400, 16, 10)
    assert frechet.frechet(x[:60], y[:60]) > 2 * frechet.frechet(x, y)
    line = frechet.extrapolated(x, y, 0)
    assert line is not None
    assert abs(line.at_infinity) < 0.3 * frechet.frechet(x, y)
    assert frechet.extrapolated(x[:10], y, 0) is None


def test_one_row_has_no_covariance() -> None:
    with pytest.raises(ValueError, match="at least 2 rows"):
        frechet.frechet(normal(1, 3, 0), normal(5, 3, 0))


# -- kernels ---------------------------------------------------------------------------------------------------------


def test_the_kernel_distance_is_the_sum_over_pairs() -> None:
    x, y = normal(12, 5, 0), normal(12, 5, 1, 0.4)

    def k(a: Points, b: Points) -> float:
        return float((a @ b / 5 + 1) ** 3)

    n = len(x)
    within = sum(k(s[i], s[j]) for s in (x, y) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    across = sum(k(a, b) for a in x for b in y) / n**2
    assert kernels.kid(x, y, 0) == pytest.approx(within - 2 * across, rel=1e-12)


def test_discrepancies_tell_distributions_apart_and_know_equal_ones() -> None:
    x = normal(80, 6, 2)
    same, other = kernels.gaussian(x, normal(80, 6, 3), 0), kernels.gaussian(x, normal(80, 6, 4, 0.6), 0)
    assert abs(same.unbiased) < 0.01
    assert same.p_value > 0.05
    assert other.unbiased > 0.05
    assert other.p_value < 0.01
    assert other.biased > other.unbiased
    assert same.bandwidth == pytest.approx(np.sqrt(6), rel=0.1)  # |x - y|^2 is about 2 d
    with pytest.raises(ValueError, match="equal"):
        kernels.gaussian(np.ones((4, 2)), np.ones((4, 2)), 0)


def test_the_gaussian_discrepancy_is_the_closed_form_for_two_points_a_side() -> None:
    x, y = np.array([[0.0], [1.0]]), np.array([[3.0], [5.0]])
    apart = np.array([1, 9, 25, 4, 16, 4.0])
    median = np.median(apart)

    def k(square: float) -> float:
        return float(np.mean([np.exp(-square / (w**2 * median)) for w in (0.25, 0.5, 1, 2, 4)]))

    expected = k(1) + k(4) - 2 * np.mean([k(9), k(25), k(4), k(16)])
    assert kernels.gaussian_value(x, y) == pytest.approx(expected, rel=1e-12)


# -- neighbours ------------------------------------------------------------------------------------------------------


def test_equal_sets_lie_in_each_other_and_far_ones_do_not() -> None:
    x = normal(60, 3, 0)
    same, apart = neighbours.manifold(x, x.copy()), neighbours.manifold(x, x + 100)
    assert (same.precision, same.recall, same.coverage) == (1, 1, 1)
    assert (apart.precision, apart.recall, apart.density, apart.coverage) == (0, 0, 0, 0)


def test_on_a_line_the_balls_can_be_counted() -> None:
    line, beside = np.arange(8.0)[:, None], np.array([[3.4], [7.9], [20.0]] * 4)
    found = neighbours.manifold(line, beside + np.arange(12)[:, None] * 1e-3, k=1, density_k=1)
    assert found.precision == pytest.approx(8 / 12)
    assert found.density == pytest.approx((2 + 1 + 0) / 3)
    assert found.coverage == pytest.approx(3 / 8)


def test_dropping_modes_lowers_recall_and_coverage_alone() -> None:
    modes = np.repeat(np.arange(4), 60)[:, None] * 50.0
    reference = np.concatenate([modes, modes], axis=1) + normal(240, 2, 1)
    generated = reference[:120] + normal(120, 2, 2, scale=0.3)
    found = neighbours.manifold(reference, generated)
    assert found.precision > 0.8
    assert found.recall < 0.6
    assert found.coverage < 0.6


def test_one_distribution_has_the_expected_coverage() -> None:
    found = [neighbours.manifold(normal(200, 4, 2 * s), normal(200, 4, 2 * s + 1)).coverage for s in range(6)]
    assert np.mean(found) == pytest.approx(neighbours.expected_coverage(200, 200), abs=0.02)
    assert neighbours.expected_coverage(10_000, 10_000) == pytest.approx(1 - 2**-5, abs=1e-3)


def test_realism_is_the_largest_ratio_and_repeated_points_divide_by_nothing() -> None:
    line = np.array([[0.0], [1.0], [2.0], [3.0], [10.0]])
    assert neighbours.realism(line, np.array([[1.5], [4.0]]), k=1) == pytest.approx([2.0, 1.0])
    assert neighbours.realism(line, line[:1], k=1)[0] == MOST_REALISM
    repeated = np.zeros((6, 2))
    assert neighbours.realism(repeated, np.array([[0.0, 0.0], [1.0, 0.0]]), k=3).tolist() == [1000.0, 0.0]
    assert neighbours.manifold(repeated, repeated + 1, k=3, density_k=3).precision == 0


def test_realism_falls_with_distance() -> None:
    reference = normal(100, 8, 3)
    steps = [neighbours.realism(reference, normal(50, 8, 4) * (1 + s)).mean() for s in range(5)]
    assert steps == sorted(steps, reverse=True)


# -- copies ----------------------------------------------------------------------------------------------------------


def test_planted_copies_are_found() -> None:
    training, held_out = normal(100, 10, 0), normal(60, 10, 1)
    shares = []
    for copies in (0, 10, 25, 50):
        generated = normal(50, 10, 2)
        generated[:copies] = training[:copies] + 1e-3
        near = memorisation.nearest(training, generated)
        assert near.index[:copies].tolist() == list(range(copies))
        assert near.is_nearer[:copies].all()
        shares.append(float((near.distance < memorisation.threshold(training, held_out)).mean()))
    assert shares[0] < 0.15
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_voxels_correlate_with_themselves_whatever_their_contrast() -> None:
    volumes = normal(5, 1000, 3)
    assert memorisation.correlations(volumes, 3 * volumes + 2).diagonal() == pytest.approx(1)


# -- similarity ------------------------------------------------------------------------------------------------------


def test_ms_ssim_is_that_of_monai() -> None:
    a = np.random.default_rng(0).random((64, 64, 64))
    b = np.clip(a * 0.8 + 0.1 * np.random.default_rng(1).random(a.shape), 0, 1)
    weights = [w / sum(ms_ssim.WEIGHTS) for w in ms_ssim.WEIGHTS]
    metric = MultiScaleSSIMMetric(spatial_dims=3, data_range=1.0, kernel_size=11, kernel_sigma=1.5, weights=weights)
    monai = float(metric(torch.from_numpy(a)[None, None].float(), torch.from_numpy(b)[None, None].float()))
    assert ms_ssim.ms_ssim(a, b) == pytest.approx(monai, abs=1e-3)
    assert ms_ssim.ms_ssim(a, a) == pytest.approx(1)


def test_pairs_are_different_ones_drawn_from_the_seed() -> None:
    assert ms_ssim.pairs(40, 3) == ms_ssim.pairs(40, 3) != ms_ssim.pairs(40, 4)
    assert len(set(ms_ssim.pairs(40, 3))) == 200
    assert ms_ssim.pairs(3, 0) == [(0, 1), (0, 2), (1, 2)]


# -- all -------------------------------------------------------------------------------------------------------------


def test_order_does_not_matter_and_a_seed_gives_equal_numbers() -> None:
    x, y = normal(70, 20, 5), normal(70, 20, 6, 0.2)
    shuffled = x[np.random.default_rng(0).permutation(70)]
    for measure in (frechet.frechet, kernels.gaussian_value, lambda a, b: neighbours.manifold(a, b).coverage):
        assert measure(shuffled, y) == pytest.approx(measure(x, y), rel=1e-9)
    one, other = (spread.subsampled(frechet.frechet, x, y, 30, seed=2) for _ in range(2))
    assert one == other
    assert one.low <= one.median <= one.high


def test_the_floor_is_low_where_the_sets_differ() -> None:
    x, y = normal(100, 5, 7), normal(100, 5, 8, 3.0)
    assert spread.floor(frechet.frechet, x, 0, 50).high < spread.subsampled(frechet.frechet, x, y, 50, 0).low


def test_the_bootstrap_interval_holds_the_mean_about_as_often_as_it_says() -> None:
    inside = [low <= 0 <= high for low, high in (spread.bootstrapped(normal(40, 1, s)[:, 0], s) for s in range(100))]
    assert 0.86 <= np.mean(inside) <= 1


def test_a_reference_of_copies_keeps_its_mmd_and_says_what_is_lacking() -> None:
    """Two halves of it are all equal, so that the floor has no bandwidth; it and other volumes together have one."""
    copies, others = np.ones((8, 3)), normal(8, 3, 1)
    found = measuring.mmd(copies, others, 0)
    assert found.value == pytest.approx(kernels.gaussian(copies, others, 0).unbiased)
    assert found.floor is None
    assert found.note is not None
    assert measuring.mmd(copies, copies, 0).value is None
    assert measuring.mmd(normal(8, 3, 2), others, 0).note is None
