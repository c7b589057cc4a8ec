"""Ridge regression, and what it predicts of samples that a fit has not seen."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

FOLDS = 5
RIDGE = 1e-4
"""HA-GAN paper, section IV-D."""
RIDGES = tuple(10.0**k for k in range(-4, 6))
"""What cross-validation chooses from: next to none, to what leaves next to nothing of latents with a variance of 1."""


def ridge_fit(x: Tensor, y: Tensor, ridges: Sequence[float]) -> tuple[Tensor, Tensor]:
    """argmin |y - x b - c|^2 + ridge |b|^2 for each ridge: b (d, ridges), c (ridges,), of x (n, d) and y (n,).

    By SVD, which also serves fewer samples than dimensions.
    """
    center, mean = x.mean(0), y.mean()
    u, s, vh = torch.linalg.svd(x - center, full_matrices=False)
    # A rank-deficient centred matrix leaves singular values of rounding size; without a ridge they would dominate.
    kept, column = (s > s.max() * 1e-12)[:, None], s[:, None]
    gain = torch.where(kept, column / (column.square() + torch.tensor(ridges).to(x)), 0.0)
    coefficients = vh.T @ (gain * (u.T @ (y - mean))[:, None])
    return coefficients, mean - center @ coefficients


def folds_of(groups: Sequence[int]) -> Tensor:
    """The fold (n,) of each sample: at most FOLDS, as even as whole groups allow; k mod FOLDS for groups of one."""
    sizes: dict[int, int] = {}
    for group in groups:
        sizes[group] = sizes.get(group, 0) + 1
    filled = [0] * min(FOLDS, len(sizes))
    placed = {}
    for group in sorted(sizes, key=lambda group: -sizes[group]):  # stable: as they come, where sizes are alike
        placed[group] = filled.index(min(filled))
        filled[placed[group]] += sizes[group]
    return torch.tensor([placed[group] for group in groups])


def chosen_ridge(x: Tensor, y: Tensor, groups: Sequence[int]) -> float:
    """The least error on samples left out, by folds of whole groups.

    Raises:
        ValueError: fewer than two groups.
    """
    errors = torch.zeros(len(RIDGES), dtype=x.dtype)
    for out in _left_out(groups):
        coefficients, intercept = ridge_fit(x[~out], y[~out], RIDGES)
        errors += (y[out, None] - x[out] @ coefficients - intercept).square().sum(0)
    return RIDGES[int(errors.argmin())]


def held_out_r2(x: Tensor, y: Tensor, groups: Sequence[int], ridge: float | None) -> float:
    """R2 of predictions by fits without the predicted sample's fold. A ridge of None is chosen anew in each fit, by
    what that fit sees alone.

    Raises:
        ValueError: fewer than two groups, or than three where the ridge is chosen.
    """
    predicted = torch.empty_like(y)
    for out in _left_out(groups):
        kept = [group for group, is_out in zip(groups, out.tolist(), strict=True) if not is_out]
        own = chosen_ridge(x[~out], y[~out], kept) if ridge is None else ridge
        coefficients, intercept = ridge_fit(x[~out], y[~out], [own])
        predicted[out] = (x[out] @ coefficients + intercept)[:, 0]
    return float(1 - (y - predicted).square().sum() / (y - y.mean()).square().sum())


def _left_out(groups: Sequence[int]) -> Iterator[Tensor]:
    """Which samples (n,) each fold leaves out."""
    fold = folds_of(groups)
    count = int(fold.max()) + 1
    if count < 2:
        raise ValueError("samples of one group alone cannot be held out; choosing the ridge takes three groups")
    for k in range(count):
        yield fold == k
