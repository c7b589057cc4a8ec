"""The truncation trick in both its forms: toward the mean style, and by cutting the normal distribution."""

import torch
from torch import Tensor


def toward_mean(style: Tensor, mean: Tensor, psi: float, cutoff: int | None = None) -> Tensor:
    """mean + psi * (style - mean): psi 1 keeps the style, 0 gives the mean (bone paper, section 4.1).

    `style` (..., num_styles, w_dim), `mean` broadcasts to it, psi in [0, 1]. With `cutoff` the first so many styles are
    truncated, those of the coarse layers; the rest stay (Karras et al. 2019, appendix B).
    """
    if not 0 <= psi <= 1:
        raise ValueError(f"psi must lie in [0, 1], got {psi}")
    if psi == 1:
        return style  # not through a difference that rounds
    truncated = mean + psi * (style - mean)
    return truncated if cutoff is None else torch.cat([truncated[..., :cutoff, :], style[..., cutoff:, :]], dim=-2)


def cut_normal(z: Tensor, level: float) -> Tensor:
    """Turns z ~ N(0, 1) into a draw from the normal distribution cut at +-level, element by element.

    The probability transform x -> Q(F(x)): F the normal's distribution function, Q the cut normal's quantile function.
    No resampling, so each element depends on itself alone, order is kept, and level -> infinity gives z back.
    Worked on -|z|, where the distribution function keeps its digits, and in float64.
    """
    if not level > 0:
        raise ValueError(f"the truncation level must be above 0, got {level}")
    tail = torch.special.ndtr(torch.tensor(-level, dtype=torch.float64, device=z.device))
    lower = torch.special.ndtr(-z.double().abs())
    cut = -torch.special.ndtri(tail + lower * (1 - 2 * tail))
    signed: Tensor = cut.clamp(0, level) * z.double().sign()
    return signed.to(z.dtype)
