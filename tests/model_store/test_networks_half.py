"""Normalisations in float16 and bfloat16, where squares and the epsilons of the papers leave float16's range."""

import pytest
import torch
from torch import Tensor

from model_store.networks.progan import activated, pixel_norm
from model_store.networks.split_shuffle import MappingNetwork

TYPES = {torch.float32: 1e-6, torch.bfloat16: 0.02, torch.float16: 0.02}


@pytest.fixture(params=TYPES, ids=str)
def dtype(request: pytest.FixtureRequest) -> torch.dtype:
    found: torch.dtype = request.param
    return found


def exact(x: Tensor) -> Tensor:
    """swish and pixelwise normalisation in float64."""
    x = x.double() * torch.sigmoid(x.double())
    return x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-8)


@pytest.mark.parametrize("value", [-12.0, -9.0, 0.0, 1.0, 200.0])
@pytest.mark.parametrize("grad", [False, True])
def test_features_of_any_size_are_normalised(dtype: torch.dtype, value: float, grad: bool) -> None:
    """swish(-12) is -7e-5, whose square float16 does not have."""
    x = torch.full((1, 16, 2, 2, 2), value, dtype=dtype)
    with torch.set_grad_enabled(grad):
        found = activated(x.clone())
    assert found.dtype == dtype
    torch.testing.assert_close(found.double(), exact(x), rtol=TYPES[dtype], atol=1e-6)


@pytest.mark.parametrize("size", [0.001, 0.01, 1.0, 100.0])
def test_the_norms_gradient_is_that_of_its_formula(dtype: torch.dtype, size: float) -> None:
    start = (size * torch.randn(1, 16, 3, 1, 1, generator=torch.Generator().manual_seed(0))).to(dtype)
    x, y = start.clone().requires_grad_(), start.double().requires_grad_()
    pixel_norm(x)[0, 0].sum().backward()
    (y * torch.rsqrt(y.square().mean(1, keepdim=True) + 1e-8))[0, 0].sum().backward()
    assert x.grad is not None
    assert y.grad is not None
    torch.testing.assert_close(
        x.grad.double(), y.grad, rtol=TYPES[dtype], atol=TYPES[dtype] * float(y.grad.abs().max())
    )


def test_the_norms_gradient_of_nothing_is_finite(dtype: torch.dtype) -> None:
    x = torch.zeros(1, 16, 1, 1, 1, dtype=dtype, requires_grad=True)
    pixel_norm(x)[0, 0].sum().backward()
    assert x.grad is not None
    assert float(x.grad[0, 0]) == pytest.approx(1e4, rel=0.01)
    assert torch.isfinite(x.grad).all()


def test_float32_has_the_papers_formula_to_the_bit() -> None:
    x = torch.randn(2, 8, 4, 3, 2, generator=torch.Generator().manual_seed(0))
    assert torch.equal(pixel_norm(x), x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-8))


@pytest.mark.parametrize("size", [1e-3, 1.0, 300.0])
def test_a_latent_of_any_size_is_mapped(dtype: torch.dtype, size: float) -> None:
    torch.manual_seed(0)
    mapping = MappingNetwork(8, 8)
    z = size * torch.randn(2, 8)
    with torch.no_grad():
        expected, found = mapping(z), mapping.to(dtype)(z)
    assert found.dtype == dtype
    torch.testing.assert_close(found.float(), expected, rtol=0, atol=TYPES[dtype] * float(expected.abs().max()))
