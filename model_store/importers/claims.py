"""What a checkpoint says of a tensor before it is read, whatever its container is."""

from dataclasses import dataclass

import torch
from torch import Tensor

from model_store.importers.jail import ImportRefused

DTYPES = {
    "DoubleStorage": torch.float64, "FloatStorage": torch.float32, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
    "ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8, "BoolStorage": torch.bool,
}  # fmt: skip
"""By the name that torch gives a storage in a file."""


@dataclass(frozen=True)
class TensorClaim:
    """A tensor as the file describes it, within the bounds of its storage."""

    kind: str
    """As in DTYPES."""
    shape: tuple[int, ...]
    key: str
    """Of the storage."""
    offset: int
    """Values before its first one there."""

    @property
    def is_float(self) -> bool:
        return DTYPES[self.kind].is_floating_point

    def __str__(self) -> str:
        return f"{self.kind.removesuffix('Storage').lower()} {self.shape}"


def sound(tensor: Tensor, name: str, role: str) -> Tensor:
    """Itself. Raises: ImportRefused, where a value is not finite."""
    if not bool(torch.isfinite(tensor).all()):
        raise ImportRefused(f"The {role} file has values that are not finite in {name}.")
    return tensor
