"""SeFa: directions without labels, from the weights alone (Shen and Zhou, CVPR 2021, "Closed-form factorization")."""

from collections.abc import Sequence

import torch
from torch import Tensor


def sefa(matrices: Sequence[Tensor], count: int, unit_rows: bool = False) -> Tensor:
    """The `count` unit directions (count, d) that the first linear maps stretch most, strongest first.

    `matrices`: one (out, d) per layer that reads the latent. The directions are the leading eigenvectors of the sum of
    A^T A (eq. 5 of the paper; several layers: their rows stacked). With `unit_rows` each row is scaled to length 1
    before, as the authors' code does and the paper does not say: every output then counts alike. An eigenvector's sign
    is arbitrary; here its largest component is positive.

    Raises:
        ValueError: no matrices, unlike widths, or more directions than dimensions.
    """
    if not matrices or any(a.ndim != 2 or a.shape[1] != matrices[0].shape[1] for a in matrices):
        raise ValueError(f"need (out, d) matrices with one d, got {[tuple(a.shape) for a in matrices]}")
    d = matrices[0].shape[1]
    if not 1 <= count <= d:
        raise ValueError(f"count must lie in 1..{d}, got {count}")
    gram = torch.zeros(d, d, dtype=torch.float64)
    for matrix in matrices:
        a = matrix.detach().cpu().double()
        if unit_rows:
            lengths = a.norm(dim=1, keepdim=True)
            a = torch.where(lengths > 0, a / lengths, 0.0)  # a row of zeros stretches nothing
        gram += a.T @ a
    _, vectors = torch.linalg.eigh(gram)  # eigenvalues ascend
    leading = vectors.T.flip(0)[:count]
    largest = leading.gather(1, leading.abs().argmax(1, keepdim=True))
    signed: Tensor = leading * largest.sign()
    return signed.float()
