"""What the table of precisions is measured with."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from benchmarks.precisions import TF32, compare, rounded
from tests.support.models.tiny_models import write_tiny_hagan


def test_factors_keep_ten_bits_of_their_mantissa() -> None:
    last = 2.0**-10
    x = torch.tensor([0.0, 1.0, 1 + last, 1 + 0.49 * last, 1 + 0.5 * last, -1 - 0.5 * last, 3e38, 1e-30])
    expected = torch.tensor([0.0, 1.0, 1 + last, 1.0, 1 + last, -1 - last])
    assert torch.equal(rounded(x)[:6], expected)
    assert ((rounded(x) - x).abs() <= x.abs() * 2**-11).all()


def test_products_and_convolutions_read_rounded_factors_and_sums_do_not() -> None:
    torch.manual_seed(0)
    a, x, weight = torch.rand(5, 5), torch.rand(1, 2, 4, 4, 4), torch.rand(3, 2, 3, 3, 3)
    with torch.inference_mode(), TF32():
        assert torch.equal(a @ a, rounded(a) @ rounded(a))
        assert torch.equal(F.linear(a, a), rounded(a) @ rounded(a).t())
        assert torch.equal(a + a, 2 * a)
        convolved = F.conv3d(x, weight)
    assert torch.equal(convolved, F.conv3d(rounded(x), rounded(weight)))
    assert not torch.equal(convolved, F.conv3d(x, weight))


def test_fewer_bits_are_further_away(tmp_path: Path) -> None:
    card = write_tiny_hagan(tmp_path, "tiny")
    tf32, half, brief = (
        compare(tmp_path / "tiny", card, precision, [1, 2], "cpu") for precision in ("tf32", "float16", "bfloat16")
    )
    assert 0 < tf32.mean < half.mean < brief.mean
    assert tf32.largest < brief.largest
    assert tf32.hu == pytest.approx(812)
