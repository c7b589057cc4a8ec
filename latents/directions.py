"""Directions in latent space: found by regression on an attribute, followed by a strength or up to a target value."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

FOLDS = 5
RIDGE = 1e-4
"""HA-GAN paper, section IV-D."""


@dataclass(frozen=True)
class Direction:
    """A unit vector (d,), with predicted attribute = slope * <latent, vector> + intercept where it was regressed."""

    vector: Tensor
    std: float = 1.0
    """Standard deviation of latents along the vector: the unit of a move's strength."""
    slope: float | None = None
    intercept: float | None = None
    r2: float | None = None
    """On held-out samples."""


def fit_regression(latents: Tensor, values: Tensor, ridge: float = RIDGE) -> Direction:
    """Linear regression of an attribute on latents (HA-GAN paper, section IV-E): latents (n, d), values (n,).

    The direction is the coefficient vector of ridge least squares on all samples. Its R2 comes from cross-validation:
    sample k is predicted by a fit without the fold k mod 5, so no sample is judged by a fit that saw it.

    Raises:
        ValueError: shapes disagree, fewer than 4 samples, values not finite or all the same, or no linear relation.
    """
    if latents.ndim != 2 or values.shape != latents.shape[:1] or len(values) < 4:
        raise ValueError(
            f"need (n, d) latents and (n,) values with n >= 4, got {tuple(latents.shape)} and {tuple(values.shape)}"
        )
    x, y = latents.double(), values.double()
    if not (torch.isfinite(x).all() and torch.isfinite(y).all()):
        raise ValueError("latents and values must be finite")
    if y.max() - y.min() <= 1e-12 * y.abs().max():
        raise ValueError("the attribute has the same value in every sample")
    coefficients, intercept = _ridge(x, y, ridge)
    slope = float(coefficients.norm())
    if slope == 0:
        raise ValueError("the attribute does not depend on the latent")
    vector = coefficients / slope
    std = float((x @ vector).std())
    r2 = _held_out_r2(x, y, ridge)
    if not all(math.isfinite(number) for number in (slope, float(intercept), std, r2)):
        raise ValueError("the values are too large to compute with")
    return Direction(vector.to(latents.dtype), std, slope, float(intercept), r2)


def _ridge(x: Tensor, y: Tensor, ridge: float) -> tuple[Tensor, Tensor]:
    """argmin |y - x b - c|^2 + ridge |b|^2 by SVD, which also serves fewer samples than dimensions: b (d,), c ()."""
    center, mean = x.mean(0), y.mean()
    u, s, vh = torch.linalg.svd(x - center, full_matrices=False)
    # A rank-deficient centred matrix leaves singular values of rounding size; without a ridge they would dominate.
    gain = torch.where(s > s.max() * 1e-12, s / (s.square() + ridge), torch.zeros_like(s))
    coefficients = vh.T @ (gain * (u.T @ (y - mean)))
    return coefficients, mean - center @ coefficients


def _held_out_r2(x: Tensor, y: Tensor, ridge: float) -> float:
    folds = min(FOLDS, len(y))
    fold = torch.arange(len(y), device=y.device) % folds
    predicted = torch.empty_like(y)
    for k in range(folds):
        coefficients, intercept = _ridge(x[fold != k], y[fold != k], ridge)
        predicted[fold == k] = x[fold == k] @ coefficients + intercept
    return float(1 - (y - predicted).square().sum() / (y - y.mean()).square().sum())


def move(latent: Tensor, direction: Direction, strength: float) -> Tensor:
    """latent (d,) or (num_styles, d) moved by `strength` standard deviations along the direction, each row alike."""
    return latent + strength * direction.std * direction.vector.to(latent)


def point(latent: Tensor) -> Tensor:
    """What a regression sees of a latent, float64 (d,): itself, or the mean of the rows of a (num_styles, d)."""
    return latent.double() if latent.ndim == 1 else latent.double().mean(0)


def reach(latent: Tensor, direction: Direction, value: float) -> tuple[Tensor, float]:
    """latent (d,) or (num_styles, d) moved until the regression predicts `value` (HA-GAN paper, section IV-E), and the
    strength of that move, as of `move`.

    Raises:
        ValueError: the direction was not found by regression.
    """
    if direction.slope is None or direction.intercept is None:
        raise ValueError("only a regression direction predicts an attribute")
    vector = direction.vector.to(latent.device, torch.float64)
    # The distance is a difference of like numbers; in float32 a target would be missed by its rounding.
    along = float(torch.dot(point(latent), vector))
    distance = (value - direction.intercept) / direction.slope - along
    return (latent.double() + distance * vector).to(latent.dtype), distance / direction.std


def predict(latent: Tensor, direction: Direction) -> float:
    """The attribute that a regression direction predicts for latent (d,) or (num_styles, d)."""
    if direction.slope is None or direction.intercept is None:
        raise ValueError("only a regression direction predicts an attribute")
    return direction.slope * float(torch.dot(point(latent), direction.vector.double())) + direction.intercept
