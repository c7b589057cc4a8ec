"""What of a job may not mean what its user takes it for. Warnings, never refusals: the record carries them."""

from collections.abc import Iterator, Sequence

import numpy as np

from contract.errors import InvalidRequest
from model_store.card import DirectionCard, ModelCard
from volumes.grids.grid import in_ras_order
from volumes.scan import Prepared
from volumes.volume import Volume

POOR_R2 = 0.3
"""Of a regression on held-out samples: below it, too little of the attribute is explained to name a direction after."""
FAR = 6.0
"""Standard deviations that a latent was moved by, beyond which the record warns."""
TOO_FAR = 12.0
"""Beyond which a target is refused unless it is asked for."""
AIR_HU = -500.0
"""Every CT of a body has air about it or in it, below this; no MR has values so low."""
EXTENT_RATIO = 2.0
"""Of a scan's field of view and the model's, along one axis."""
UNLIKE = 0.2
"""SSIM below which a reconstruction hardly resembles its scan."""


def of_direction(direction: DirectionCard) -> Iterator[str]:
    if direction.r2 is not None and direction.r2 < POOR_R2:
        yield (
            f"The direction explains little of its attribute: R2 on held-out samples is {direction.r2:.2f}. What it "
            "changes may be something else."
        )


def of_strengths(strengths: Sequence[float | None]) -> Iterator[str]:
    """Of moves along a direction, in standard deviations."""
    farthest = max((abs(strength) for strength in strengths if strength is not None), default=0.0)
    if farthest > FAR:
        yield (
            f"The latent was moved by up to {farthest:.1f} standard deviations; beyond {FAR:g} the model was hardly "
            "ever trained."
        )


def check_targets(strengths: Sequence[float | None], limit: float | None) -> None:
    """Raises: InvalidRequest, for a target farther from its source than the limit (None: TOO_FAR) allows."""
    allowed = TOO_FAR if limit is None else limit
    for k, strength in enumerate(strengths):
        if strength is not None and abs(strength) > allowed:
            reason = (
                f"this value lies {abs(strength):.1f} standard deviations from the source, more than {allowed:g}; "
                "raise max_strength to go there all the same"
            )
            raise InvalidRequest(f"The target is too far: {reason}.", [(f"/edit/values/{k}", reason)])


def of_scan(scan: Volume, prepared: Prepared, card: ModelCard) -> Iterator[str]:
    """`scan` in its own stored units."""
    lowest = float(np.min(scan.array))
    if card.modality == "CT" and lowest > AIR_HU:
        yield "The scan has no values as low as air's; if it is no CT in Hounsfield units, this model does not fit it."
    if card.modality == "MR" and lowest < AIR_HU:
        yield "The scan has values as low as air's in CT; this model was trained on MR."
    if card.spacing_is_nominal:
        return
    own = np.array(prepared.scan.shape) * np.array(prepared.scan.spacing_mm)
    directions = np.abs(prepared.scan.affine[:3, :3]) / np.linalg.norm(prepared.scan.affine[:3, :3], axis=0)
    extent = directions @ own  # of a turned scan, along the world's axes
    wanted = np.array(in_ras_order(card.shape, card.axes)) * np.array(in_ras_order(card.spacing_mm, card.axes))
    if bool(((extent > EXTENT_RATIO * wanted) | (wanted > EXTENT_RATIO * extent)).any()):
        yield (
            f"The scan shows {_mm(extent)} mm, the model {_mm(wanted)} mm: it may show another part of the body, or "
            "its voxel size may be wrong."
        )


def of_reconstruction(similarity: float | None) -> Iterator[str]:
    """`similarity`: SSIM of a reconstruction and its scan on the model's grid."""
    if similarity is not None and similarity < UNLIKE:
        yield (
            f"The reconstruction hardly resembles the scan (SSIM {similarity:.2f}): the latent says little of it. The "
            "scan may be of another kind than the model's."
        )


def _mm(extent: np.ndarray) -> str:
    return " x ".join(f"{side:.0f}" for side in extent)
