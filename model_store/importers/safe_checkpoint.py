"""Weights in a safetensors file of other people, as `checkpoint.py` has those of torch.save. Runs in the jail only."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError, safe_open

from model_store.importers.archive import damaged
from model_store.importers.claims import TensorClaim, sound
from model_store.importers.jail import ImportRefused
from model_store.importers.unwrapped import unwrapped

_LONGEST_HEADER_BYTES = 100 << 20
_KINDS = {
    "F64": "DoubleStorage", "F32": "FloatStorage", "F16": "HalfStorage", "BF16": "BFloat16Storage",
    "I64": "LongStorage", "I32": "IntStorage", "I16": "ShortStorage", "I8": "CharStorage", "U8": "ByteStorage",
    "BOOL": "BoolStorage",
}  # fmt: skip


def is_safetensors(file: BinaryIO) -> bool:
    """Whether an open file begins like one; it is read from its start again afterwards."""
    head = file.read(9)
    file.seek(0)
    return 2 <= int.from_bytes(head[:8], "little") <= _LONGEST_HEADER_BYTES and head[8:] == b"{"


class SafeCheckpoint:
    """An open file, whose header safetensors has held against its length."""

    def __init__(self, path: Path, role: str) -> None:
        """Raises: ImportRefused: damaged, or not such a checkpoint."""
        self._role = role
        try:
            self._file = _opened(path)
            listed = {name: self._claim(name) for name in self._file.keys()}  # noqa: SIM118 -- no dictionary
        except (SafetensorError, OSError) as err:
            raise damaged(role, "it is no sound safetensors file") from err
        found = unwrapped(listed, role)
        self._names = {plain: name for plain, (name, _) in found.items()}
        self.claims: dict[str, TensorClaim] = {plain: claim for plain, (_, claim) in found.items()}

    def tensors(self, names: Iterable[str]) -> dict[str, torch.Tensor]:
        """The named weights, finite and on the CPU, by plain name. Raises: ImportRefused."""
        return {name: sound(self._file.get_tensor(self._names[name]).clone(), name, self._role) for name in names}

    def _claim(self, name: str) -> TensorClaim:
        stored = self._file.get_slice(name)
        kind = _KINDS.get(stored.get_dtype())
        if kind is None:
            raise ImportRefused(f"The {self._role} file has a tensor of a type that no network here has.")
        return TensorClaim(kind, tuple(stored.get_shape()), name, 0)


def _opened(path: Path) -> Any:
    return safe_open(path, framework="pt", device="cpu")
