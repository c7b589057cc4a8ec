"""PSNR, SSIM and MAE against their definitions."""

import math

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from volumes.similarity import mae, psnr, ssim

A = np.random.default_rng(0).random((61, 11, 9)).astype("f4") * 100
B = A + np.random.default_rng(1).normal(0, 10, A.shape).astype("f4")


def test_mae_and_psnr() -> None:
    error = A.astype(float) - B
    assert mae(A, B) == pytest.approx(np.abs(error).mean())
    assert psnr(A, B, 100) == pytest.approx(10 * np.log10(100**2 / np.square(error).mean()))
    assert psnr(A, A, 100) == math.inf
    assert mae(A.astype("i2"), B.astype("u1").astype("i2")) > 0


def test_ssim_by_its_definition() -> None:
    x = sliding_window_view(A.astype(float), (7, 7, 7)).reshape(-1, 343)
    y = sliding_window_view(B.astype(float), (7, 7, 7)).reshape(-1, 343)
    mx, my = x.mean(1), y.mean(1)
    covariance = ((x - mx[:, None]) * (y - my[:, None])).sum(1) / 342
    c1, c2 = 1.0**2, 3.0**2
    each = (2 * mx * my + c1) * (2 * covariance + c2)
    each /= (mx**2 + my**2 + c1) * (x.var(1, ddof=1) + y.var(1, ddof=1) + c2)
    assert ssim(A, B, 100) == pytest.approx(each.mean(), abs=1e-9)
    assert ssim(A, B, 100, threads=3) == ssim(A, B, 100)
    assert ssim(A, A, 100) == pytest.approx(1)


def test_shapes_must_fit() -> None:
    with pytest.raises(ValueError, match="differ"):
        mae(A, B[1:])
    with pytest.raises(ValueError, match="at least 7"):
        ssim(A[:6], B[:6], 100)
