"""Latent arithmetic against closed forms and independent evaluations."""

import math
from statistics import NormalDist

import pytest
import torch

from latents.interpolate import lerp, slerp
from latents.invert import refine
from latents.sample import gaussian
from latents.truncate import cut_normal, toward_mean


def test_a_seed_names_one_vector():
    assert torch.equal(gaussian(7, 33), gaussian(7, 33))
    assert not torch.equal(gaussian(7, 33), gaussian(8, 33))


def test_draws_have_the_moments_of_a_standard_normal():
    z = torch.cat([gaussian(seed, 1000) for seed in range(40)])
    assert z.dtype == torch.float32
    assert abs(z.mean()) < 0.02
    assert abs(z.std() - 1) < 0.02


def test_drawing_leaves_the_global_generator_alone():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    gaussian(5, 16)
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize("level", [0.2, 1.0, 1.8, 2.6])
def test_cut_normal_is_the_probability_transform(level):
    normal = NormalDist()
    z = [-3.1, -1.0, -0.25, 0.0, 0.4, 2.2]
    low, high = normal.cdf(-level), normal.cdf(level)
    expected = [normal.inv_cdf(low + normal.cdf(x) * (high - low)) for x in z]
    assert cut_normal(torch.tensor(z), level).tolist() == pytest.approx(expected, abs=1e-6)


def test_cut_draws_have_the_variance_of_a_truncated_normal():
    level = 1.5
    z = torch.cat([gaussian(seed, 1000, level) for seed in range(40)])
    inside = math.erf(level / math.sqrt(2))
    variance = 1 - 2 * level * NormalDist().pdf(level) / inside
    assert z.abs().max() <= level
    assert float(z.var()) == pytest.approx(variance, rel=0.02)


def test_a_very_high_level_changes_nothing_and_a_tiny_one_gives_the_mean():
    z = gaussian(0, 100)
    assert torch.allclose(cut_normal(z, 1e6), z, atol=1e-6)
    assert cut_normal(z, 1e-300).abs().max() < 1e-6


def test_a_level_of_zero_is_refused():
    with pytest.raises(ValueError, match="above 0"):
        gaussian(0, 8, 0.0)


def test_psi_moves_a_style_toward_the_mean():
    style, mean = torch.tensor([[3.0, -1.0]]), torch.tensor([1.0, 1.0])
    assert toward_mean(style, mean, 0.25).tolist() == [[1.5, 0.5]]
    assert torch.equal(toward_mean(style, mean, 0.0), mean[None])
    with pytest.raises(ValueError, match="psi"):
        toward_mean(style, mean, 1.5)


def test_slerp_of_orthogonal_vectors_is_a_quarter_circle():
    walk = slerp(torch.tensor([2.0, 0.0, 0.0]), torch.tensor([0.0, 2.0, 0.0]), 4)
    expected = [[2 * math.cos(a), 2 * math.sin(a), 0] for a in (0, math.pi / 6, math.pi / 3, math.pi / 2)]
    assert torch.allclose(walk, torch.tensor(expected), atol=1e-6)


def test_slerp_keeps_the_length_and_ends_exactly():
    a = gaussian(1, 64)
    b = gaussian(2, 64)
    b = b * (a.norm() / b.norm())
    walk = slerp(a, b, 9)
    assert torch.equal(walk[0], a)
    assert torch.equal(walk[-1], b)
    assert torch.allclose(walk.norm(dim=1), a.norm().expand(9), rtol=1e-5)


@pytest.mark.parametrize("end", [[1.0, 2.0], [-1.0, -2.0], [0.0, 0.0], [2.0, 4.0]])
def test_slerp_without_a_plane_walks_straight(end):
    walk = slerp(torch.tensor([1.0, 2.0]), torch.tensor(end), 3)
    middle = [(1.0 + end[0]) / 2, (2.0 + end[1]) / 2]
    assert walk[1].tolist() == pytest.approx(middle)
    assert torch.isfinite(walk).all()


def test_lerp_of_styles_walks_straight():
    a, b = torch.zeros(3, 2), torch.full((3, 2), 4.0)
    walk = lerp(a, b, 5)
    assert walk.shape == (5, 3, 2)
    assert walk[:, 0, 0].tolist() == [0, 1, 2, 3, 4]


def test_a_walk_of_one_step_is_refused():
    with pytest.raises(ValueError, match="2 steps"):
        lerp(torch.zeros(2), torch.ones(2), 1)


def test_refinement_finds_the_latent_of_a_linear_generator():
    matrix = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    true = torch.tensor([0.5, -0.3, 0.2, 0.1])
    descent = list(refine(lambda z: matrix @ z, matrix @ true, true + 0.4, steps=300))
    assert len(descent) == 301
    assert descent[-1].best_loss < 0.01 * descent[0].loss
    assert torch.allclose(descent[-1].best, true, atol=0.02)


def test_refinement_never_ends_above_the_guess():
    """From the optimum each step of Adam first goes up; the guess itself is then the best."""
    target = torch.zeros(3)
    descent = list(refine(lambda z: 50 * z, target, torch.zeros(3), steps=3))
    assert [d.best_loss for d in descent] == sorted((d.best_loss for d in descent), reverse=True)
    assert descent[-1].best_loss <= descent[0].loss
