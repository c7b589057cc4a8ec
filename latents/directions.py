"""Directions in latent space: found by regression on an attribute, followed by a strength or up to a target value."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from latents.ridge import RIDGE, chosen_ridge, held_out_r2, ridge_fit

Transform = Literal["none", "log"]
"""Of an attribute before it is regressed: log, its natural logarithm."""


@dataclass(frozen=True)
class Direction:
    """A unit vector (d,), with predicted attribute = slope * <latent, vector> + intercept where it was regressed."""

    vector: Tensor
    std: float = 1.0
    """Standard deviation of latents along the vector: the unit of a move's strength."""
    slope: float | None = None
    intercept: float | None = None
    """Of the transformed attribute."""
    r2: float | None = None
    """On held-out samples, of the transformed attribute."""
    transform: Transform = "none"
    ridge: float | None = None
    """Of the regression."""


def fit_regression(latents: Tensor, values: Tensor, ridge: float | None = RIDGE, groups: Sequence[int] | None = None,
                   transform: Transform = "none") -> Direction:  # fmt: skip
    """Linear regression of an attribute on latents (HA-GAN paper, section IV-E): latents (n, d), values (n,).

    The direction is the coefficient vector of ridge least squares on all samples. Its R2 comes from cross-validation in
    five folds: no sample is judged by a fit that saw it, or another sample of its group.

    Args:
        ridge: None chooses it by cross-validation, for the R2 too in each fold anew.
        groups: one number per sample, the same for samples of one subject; None: each is its own.

    Raises:
        ValueError: shapes disagree, fewer than 4 samples, values not finite or all the same, no logarithm, no linear
            relation, or too few groups.
    """
    groups = range(len(values)) if groups is None else groups
    if latents.ndim != 2 or values.shape != latents.shape[:1] or len(values) < 4 or len(groups) != len(values):
        raise ValueError(
            f"need (n, d) latents and (n,) values with n >= 4, got {tuple(latents.shape)} and {tuple(values.shape)}"
        )
    x, y = latents.double(), _transformed(values.double(), transform)
    if not (torch.isfinite(x).all() and torch.isfinite(y).all()):
        raise ValueError("latents and values must be finite")
    if y.max() - y.min() <= 1e-12 * y.abs().max():
        raise ValueError("the attribute has the same value in every sample")
    r2 = held_out_r2(x, y, groups, ridge)
    chosen = chosen_ridge(x, y, groups) if ridge is None else ridge
    return _direction(x, y, chosen, r2, transform, latents.dtype)


def _transformed(values: Tensor, transform: Transform) -> Tensor:
    if transform == "log" and bool((values <= 0).any()):
        raise ValueError("only an attribute above 0 in every sample has a logarithm")
    return values.log() if transform == "log" else values


def _direction(x: Tensor, y: Tensor, ridge: float, r2: float, transform: Transform, dtype: torch.dtype) -> Direction:
    """Of all samples."""
    fits, intercepts = ridge_fit(x, y, [ridge])
    coefficients, intercept = fits[:, 0], float(intercepts[0])
    slope = float(coefficients.norm())
    if slope == 0:
        raise ValueError("the attribute does not depend on the latent")
    vector = coefficients / slope
    std = float((x @ vector).std())
    if not all(math.isfinite(number) for number in (slope, intercept, std, r2)):
        raise ValueError("the values are too large to compute with")
    return Direction(vector.to(dtype), std, slope, intercept, r2, transform, ridge)


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
        ValueError: the direction was not found by regression, or it predicts a logarithm and the value has none.
    """
    if direction.slope is None or direction.intercept is None:
        raise ValueError("only a regression direction predicts an attribute")
    if direction.transform == "log":
        if value <= 0:
            raise ValueError("a value has a logarithm above 0 alone")
        value = math.log(value)
    vector = direction.vector.to(latent.device, torch.float64)
    # The distance is a difference of like numbers; in float32 a target would be missed by its rounding.
    along = float(torch.dot(point(latent), vector))
    distance = (value - direction.intercept) / direction.slope - along
    return (latent.double() + distance * vector).to(latent.dtype), distance / direction.std


def predict(latent: Tensor, direction: Direction) -> float:
    """The attribute that a regression direction predicts for latent (d,) or (num_styles, d)."""
    if direction.slope is None or direction.intercept is None:
        raise ValueError("only a regression direction predicts an attribute")
    along = torch.dot(point(latent), direction.vector.double())
    predicted = direction.slope * along + direction.intercept
    return float(predicted.exp() if direction.transform == "log" else predicted)
