"""From a network's range to a model's units, for what is written and for what is measured."""

import numpy as np
from numpy.typing import NDArray

from contract.errors import NonFiniteOutput
from contract.fields import OutputOptions
from model_store.card import AnyCard
from volumes.assumptions import REAL_IN_16_BITS, UNIT_AS_REAL
from volumes.formats import BY_NAME
from volumes.intensity import UNIT_SCALE, NotFiniteError, to_stored
from volumes.volume import Array

MEASURED = OutputOptions(dtype="float32", intensity="stored")
"""What measurements are taken in: the card's units, not rounded."""


def step_of(output: OutputOptions) -> float:
    """What one step of a file's numbers is worth: integers hold [0, 1] in parts of it."""
    return 1.0 if output.intensity == "stored" else 1.0 / UNIT_SCALE.get(np.dtype(type_of(output)).str[1:], 1.0)


def type_of(output: OutputOptions) -> str:
    """Of the voxels: the wished one, but real where whole numbers stood for parts of 1 and no reader knew."""
    row = BY_NAME[output.format]
    is_held = output.intensity == "stored" or output.dtype in row.unit_dtypes
    return output.dtype if is_held else row.unit_dtypes[0]


def assumed_of(output: OutputOptions) -> list[str]:
    """What is written in place of what was asked for, in sentences."""
    written = type_of(output)
    is_scaled = BY_NAME[output.format].is_series and np.dtype(written).kind == "f"
    return [UNIT_AS_REAL] * (written != output.dtype) + [REAL_IN_16_BITS] * is_scaled


def in_units(network_array: NDArray[np.float32], card: AnyCard, output: OutputOptions) -> Array:
    """The values of a file that `output` asks for, any shape kept.

    Raises:
        NonFiniteOutput: the network gave NaN or infinity.
    """
    spec = card.intensity
    try:
        return to_stored(network_array, spec.low, spec.high, spec.network_range, type_of(output), output.intensity)
    except NotFiniteError as err:
        message = "The model gave values that are not finite; nothing was stored for this sample."
        raise NonFiniteOutput(message) from err
