"""Latent arithmetic against closed forms and independent evaluations."""

import math
from statistics import NormalDist

import pytest
import torch

from latents.interpolate import lerp, slerp
from latents.invert import Objective, Prior, Weights, refine
from latents.mix import mix
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


def _prior(d: int) -> Prior:
    return Prior(torch.zeros(d), torch.ones(d))


def test_refinement_finds_the_latent_of_a_linear_generator():
    matrix = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    true = torch.tensor([0.5, -0.3, 0.2, 0.1])
    descent = list(refine(Objective(lambda z: matrix @ z, matrix @ true, _prior(4)), true + 0.4, steps=300))
    assert [d.step for d in descent] == list(range(301))
    assert descent[-1].best_loss < 0.01 * descent[0].loss
    assert torch.allclose(descent[-1].best, true, atol=0.02)
    assert not descent[-1].diverged


def test_refinement_never_ends_above_the_guess():
    """From the optimum each step of Adam first goes up; the guess itself is then the best."""
    descent = list(refine(Objective(lambda z: 50 * z, torch.zeros(3), _prior(3)), torch.zeros(3), steps=3))
    assert [d.best_loss for d in descent] == sorted((d.best_loss for d in descent), reverse=True)
    assert torch.equal(descent[-1].best, torch.zeros(3))


def test_the_loss_is_the_sum_of_the_papers_three_terms():
    target, z = torch.tensor([1.0, 2.0, 0.0]), torch.tensor([3.0, -1.0, 0.0])
    weights = Weights(distortion=2.0, perceptual=3.0, latent=0.5)
    prior = Prior(torch.ones(3), torch.tensor(2.0))
    objective = Objective(lambda latent: latent + 1, target, prior, lambda volume: volume[:2] ** 2, weights)
    (step,) = refine(objective, z, steps=0)
    distortion = 2.0 * ((4 - 1) ** 2 + (0 - 2) ** 2 + (1 - 0) ** 2) / 3
    perceptual = 3.0 * ((16 - 1) ** 2 + (0 - 4) ** 2) / 2
    latent = 0.5 * (1**2 + 1**2 + 0.5**2) / 3
    assert step.terms == pytest.approx({"distortion": distortion, "perceptual": perceptual, "latent": latent})
    assert step.loss == pytest.approx(distortion + perceptual + latent)


def test_styles_that_are_all_the_same_are_moved_as_one():
    target = torch.tensor([1.0, -2.0])
    prior = Prior(torch.zeros(3, 2), torch.ones(2))
    same = Objective(lambda w: (w * torch.tensor([[1.0], [2.0], [3.0]])).sum(0), target, prior)
    one = list(refine(same, torch.zeros(3, 2), steps=40, rate=0.05))[-1].best
    assert torch.equal(one, one[:1].expand(3, 2))
    assert torch.allclose(one[0] * 6, target, atol=0.3)
    several = list(refine(same, torch.tensor([[0.1, 0.0], [0.0, 0.0], [0.0, 0.0]]), steps=40, rate=0.05))[-1].best
    assert not torch.equal(several, several[:1].expand(3, 2))


def test_a_step_is_as_long_as_the_latents_spread():
    """Adam's first step is the rate in every coordinate, here in standard deviations of the prior."""
    prior = Prior(torch.zeros(2), torch.tensor([10.0, 0.1]))
    objective = Objective(lambda z: z, torch.tensor([50.0, 50.0]), prior, weights=Weights(latent=0.0))
    last = list(refine(objective, torch.zeros(2), steps=1, rate=0.5))[-1]
    assert last.best.tolist() == pytest.approx([5.0, 0.05], rel=1e-3)


def test_a_descent_that_leaves_the_numbers_ends_with_the_best_latent():
    objective = Objective(lambda z: z * (math.inf if float(z.detach()) > 0.035 else 1), torch.ones(1), _prior(1))
    descent = list(refine(objective, torch.zeros(1), steps=50, rate=0.01))
    assert [d.diverged for d in descent] == [False] * (len(descent) - 1) + [True]
    assert len(descent) == 5
    assert float(descent[-1].best) == pytest.approx(0.03, rel=0.01)
    assert math.isfinite(descent[-1].best_loss)


def test_a_descent_that_keeps_rising_ends_with_the_best_latent():
    """Steps of five spreads throw the latent out of a valley that is a tenth of one away."""
    objective = Objective(lambda z: z, torch.zeros(1), _prior(1))
    descent = list(refine(objective, torch.full((1,), 0.1), steps=200, rate=5.0))
    assert descent[-1].diverged
    assert len(descent) < 201
    assert float(descent[-1].best) == pytest.approx(0.1)
    assert descent[-1].best_loss == descent[0].loss


def test_an_evaluation_may_be_run_twice():
    """A worker does so when memory ran out the first time."""
    matrix = torch.randn(20, 3, generator=torch.Generator().manual_seed(1))
    objective = Objective(lambda z: matrix @ z, matrix @ torch.ones(3), _prior(3))
    once = [d.loss for d in refine(objective, torch.zeros(3), steps=5)]
    twice = [d.loss for d in refine(objective, torch.zeros(3), steps=5, attempt=lambda step: (step(), step())[1])]
    assert once == twice


def test_mixing_takes_the_first_layers_from_the_source():
    source, target = torch.zeros(5, 2), torch.ones(5, 2)
    assert mix(source, target, 2)[:, 0].tolist() == [0, 0, 1, 1, 1]
    assert torch.equal(mix(source, target, 0), target)
    assert torch.equal(mix(source, target, 5), source)
    for crossover in (-1, 6):
        with pytest.raises(ValueError, match=r"0\.\.5"):
            mix(source, target, crossover)
    with pytest.raises(ValueError, match="num_styles"):
        mix(source, target[:4], 2)


def test_a_cutoff_truncates_the_coarse_styles_alone():
    style = torch.arange(8.0).reshape(1, 4, 2)
    cut = toward_mean(style, torch.zeros(4, 2), 0.5, cutoff=3)
    assert cut[0, :, 0].tolist() == [0.0, 1.0, 2.0, 6.0]
    assert torch.equal(toward_mean(style, torch.full((4, 2), 0.1), 1.0), style)
