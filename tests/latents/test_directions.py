"""Directions by regression and by SeFa against synthetic data with a known answer and against numpy."""

import numpy as np
import pytest
import torch

from latents.directions import Direction, fit_regression, move, predict, reach
from latents.ridge import RIDGES, folds_of
from latents.sample import gaussian
from latents.sefa import sefa


def _samples(n: int, d: int) -> torch.Tensor:
    return torch.stack([gaussian(seed, d) for seed in range(n)])


def test_regression_recovers_a_known_line():
    latents = _samples(60, 6)
    true = torch.tensor([3.0, 0.0, -4.0, 0.0, 0.0, 0.0])
    direction = fit_regression(latents, latents @ true + 7)
    assert torch.allclose(direction.vector, true / 5, atol=1e-4)
    assert direction.slope == pytest.approx(5, abs=1e-3)
    assert direction.intercept == pytest.approx(7, abs=1e-3)
    assert direction.r2 == pytest.approx(1, abs=1e-6)
    assert direction.std == pytest.approx(float((latents @ (true / 5)).std()), rel=1e-4)


def test_regression_agrees_with_the_normal_equations():
    latents = _samples(40, 5)
    values = latents[:, 0] ** 2 + 2 * latents[:, 1] + gaussian(99, 40)
    direction = fit_regression(latents, values, ridge=3.0)
    x = latents.double().numpy()
    y = values.double().numpy()
    centered = x - x.mean(0)
    b = np.linalg.solve(centered.T @ centered + 3.0 * np.eye(5), centered.T @ (y - y.mean()))
    assert direction.slope == pytest.approx(np.linalg.norm(b), rel=1e-9)
    assert direction.vector.numpy() == pytest.approx(b / np.linalg.norm(b), rel=1e-5)
    assert direction.intercept == pytest.approx(y.mean() - x.mean(0) @ b, rel=1e-9)


def test_held_out_r2_agrees_with_leaving_each_fold_out_by_hand():
    latents = _samples(23, 3)
    values = latents[:, 0] + 0.8 * gaussian(99, 23)
    x = np.c_[latents.double().numpy(), np.ones(23)]
    y = values.double().numpy()
    predicted = np.empty(23)
    for k in range(5):
        out = np.arange(23) % 5 == k
        predicted[out] = x[out] @ np.linalg.lstsq(x[~out], y[~out], rcond=None)[0]
    expected = 1 - ((y - predicted) ** 2).sum() / ((y - y.mean()) ** 2).sum()
    assert fit_regression(latents, values, ridge=0.0).r2 == pytest.approx(expected, rel=1e-9)


def test_noise_alone_has_no_held_out_r2():
    assert fit_regression(_samples(50, 20), gaussian(1000, 50)).r2 < 0.1


def test_fewer_samples_than_dimensions_still_give_a_unit_direction():
    latents = _samples(8, 64)
    direction = fit_regression(latents, latents[:, 3])
    assert float(direction.vector.norm()) == pytest.approx(1, abs=1e-5)
    assert predict(latents[2], direction) == pytest.approx(float(latents[2, 3]), abs=1e-3)


@pytest.mark.parametrize(
    ("latents", "values", "message"),
    [
        (torch.randn(3, 2), torch.randn(3), "n >= 4"),
        (torch.randn(6, 2), torch.randn(5), "n >= 4"),
        (torch.randn(6, 2), torch.full((6,), 4.2), "same value"),
        (torch.randn(6, 2), torch.tensor([1, 2, 3, 4, 5, float("nan")]), "finite"),
        (torch.zeros(6, 2), torch.arange(6.0), "does not depend"),
        (torch.randn(6, 2), torch.arange(6).double() * 1e200, "too large"),
    ],
)
def test_samples_without_a_direction_are_refused(latents, values, message):
    with pytest.raises(ValueError, match=message):
        fit_regression(latents, values)


def test_samples_of_one_group_are_in_one_fold() -> None:
    groups = [7, 7, 7, 1, 2, 2, 9, 9, 9, 9, 4]
    fold = folds_of(groups).tolist()
    assert all(len({fold[k] for k, other in enumerate(groups) if other == group}) == 1 for group in groups)
    assert sorted(fold.count(k) for k in range(5)) == [1, 1, 2, 3, 4]
    assert folds_of(range(12)).tolist() == [k % 5 for k in range(12)]
    assert set(folds_of([3, 3, 8, 8]).tolist()) == {0, 1}


def test_twins_lend_no_r2_to_each_other() -> None:
    """Noise in more dimensions than subjects: six scans of each, all but alike, predict one another alone."""
    subjects = [k // 6 for k in range(60)]
    latents = _samples(10, 40)[subjects] + 0.01 * _samples(60, 40)
    values = gaussian(1000, 10)[subjects]
    assert fit_regression(latents, values).r2 > 0.9
    assert fit_regression(latents, values, groups=subjects).r2 < 0.3
    with pytest.raises(ValueError, match="one group"):
        fit_regression(latents, values, groups=[5] * 60)
    with pytest.raises(ValueError, match="three groups"):
        fit_regression(latents, values, None, groups=[k % 2 for k in range(60)])


def test_a_logarithm_is_regressed_and_its_values_are_reached() -> None:
    latents = _samples(60, 6)
    direction = fit_regression(latents, (0.5 * latents[:, 2] + 3).double().exp(), transform="log")
    assert direction.transform == "log"
    assert direction.slope == pytest.approx(0.5, abs=1e-4)
    assert direction.r2 == pytest.approx(1, abs=1e-6)
    end, _ = reach(latents[0], direction, 40.0)
    assert predict(end, direction) == pytest.approx(40.0, rel=1e-4)
    with pytest.raises(ValueError, match="above 0"):
        fit_regression(latents, latents[:, 0], transform="log")
    with pytest.raises(ValueError, match="above 0"):
        reach(latents[0], direction, 0.0)


def test_the_ridge_is_the_one_that_predicts_best_what_was_left_out() -> None:
    latents, noise = _samples(40, 30), gaussian(99, 40)
    values = latents[:, 0] + 2 * noise
    x, y = latents.double().numpy(), values.double().numpy()
    errors = []
    for ridge in RIDGES:
        left = 0.0
        for k in range(5):
            out = np.arange(40) % 5 == k
            center, mean = x[~out].mean(0), y[~out].mean()
            gram = (x[~out] - center).T @ (x[~out] - center) + ridge * np.eye(30)
            b = np.linalg.solve(gram, (x[~out] - center).T @ (y[~out] - mean))
            left += ((y[out] - mean - (x[out] - center) @ b) ** 2).sum()
        errors.append(left)
    direction = fit_regression(latents, values, ridge=None)
    assert direction.ridge == RIDGES[int(np.argmin(errors))] > 1
    assert direction.r2 > fit_regression(latents, values).r2
    assert fit_regression(latents, latents[:, 0], ridge=None).ridge == RIDGES[0]


def test_move_goes_by_standard_deviations():
    direction = Direction(torch.tensor([0.6, 0.8]), std=2.0)
    assert move(torch.tensor([1.0, 1.0]), direction, -1.5).tolist() == pytest.approx([1 - 1.8, 1 - 2.4])
    assert torch.equal(move(torch.tensor([1.0, 1.0]), direction, 0.0), torch.tensor([1.0, 1.0]))


def test_reach_ends_where_the_regression_predicts_the_value():
    direction = Direction(torch.tensor([0.6, 0.8]), slope=2.5, intercept=-1.0)
    start = torch.tensor([5.0, -2.0])
    end, strength = reach(start, direction, 11.0)
    torch.testing.assert_close(move(start, direction, strength), end)
    assert predict(end, direction) == pytest.approx(11.0, abs=1e-5)
    sideways = torch.tensor([-0.8, 0.6])
    assert float(end @ sideways) == pytest.approx(float(start @ sideways), abs=1e-5)


def test_reach_needs_a_regression():
    with pytest.raises(ValueError, match="regression"):
        reach(torch.zeros(2), Direction(torch.tensor([1.0, 0.0])), 1.0)


def test_sefa_agrees_with_the_singular_vectors_of_numpy():
    matrices = [torch.randn(30, 6, generator=torch.Generator().manual_seed(k)) for k in range(2)]
    _, _, vh = np.linalg.svd(np.concatenate([m.double().numpy() for m in matrices]))
    found = sefa(matrices, 4).numpy()
    assert found.shape == (4, 6)
    assert np.abs((found * vh[:4]).sum(1)) == pytest.approx(np.ones(4), abs=1e-6)


def test_sefa_takes_every_output_alike_where_rows_have_length_one() -> None:
    matrix = torch.randn(30, 6, generator=torch.Generator().manual_seed(0))
    matrix[0] *= 100  # alone it would be the first direction
    matrix[1] = 0
    rows = matrix.double().numpy()
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    _, _, vh = np.linalg.svd(np.divide(rows, lengths, where=lengths > 0, out=np.zeros_like(rows)))
    found = sefa([matrix], 3, unit_rows=True).numpy()
    assert np.abs((found * vh[:3]).sum(1)) == pytest.approx(np.ones(3), abs=1e-6)
    assert abs(float(sefa([matrix], 1)[0] @ matrix[0] / matrix[0].norm())) > 0.999
    assert abs(float(torch.tensor(found[0]) @ matrix[0] / matrix[0].norm())) < 0.999


def test_sefa_signs_are_settled():
    matrix = torch.randn(30, 6, generator=torch.Generator().manual_seed(0))
    directions = sefa([matrix], 3)
    assert torch.equal(directions, sefa([-matrix], 3))
    assert (directions.gather(1, directions.abs().argmax(1, keepdim=True)) > 0).all()


@pytest.mark.parametrize("count", [0, 7])
def test_sefa_refuses_more_directions_than_dimensions(count):
    with pytest.raises(ValueError, match="count"):
        sefa([torch.randn(3, 6)], count)
