"""The strict reader of PyTorch checkpoints: claims are checked before any tensor exists. Runs in the jail only.

A `.pth` is a zip of stored members: `<root>/data.pkl`, a pickle that describes the tensors, and `<root>/data/<key>`,
their bytes. The pickle is read twice: first by `ClaimReader`, for which a tensor is a record of numbers, then, when
every claim holds, by `torch.load(weights_only=True)`. There is no third way.
"""

import io
import math
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from model_store.importers.jail import ImportRefused

_MAX_FILE_BYTES = 4 << 30
_MAX_PICKLE_BYTES = 4 << 20
_MAX_MEMBERS = 4096
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_ITEM_BYTES = {
    "DoubleStorage": 8, "FloatStorage": 4, "HalfStorage": 2, "BFloat16Storage": 2,
    "LongStorage": 8, "IntStorage": 4, "ShortStorage": 2, "CharStorage": 1, "ByteStorage": 1, "BoolStorage": 1,
}  # fmt: skip
_UNREADABLE = (
    pickle.UnpicklingError, zipfile.BadZipFile, EOFError, AttributeError, TypeError, ValueError, KeyError, IndexError,
    OverflowError, RecursionError, RuntimeError, OSError,
)  # fmt: skip


@dataclass(frozen=True)
class StorageKind:
    """Stands in for a storage class such as torch.FloatStorage; cannot be called."""

    name: str


@dataclass(frozen=True)
class StorageClaim:
    kind: str
    count: int


@dataclass(frozen=True)
class TensorClaim:
    """A tensor as the pickle describes it, within the bounds of its storage."""

    kind: str
    shape: tuple[int, ...]


def damaged(role: str, what: str) -> ImportRefused:
    """The refusal for bytes that are not what torch.save wrote."""
    return ImportRefused(f"The {role} file is damaged: {what}. Download or copy it again.")


class ClaimReader(pickle.Unpickler):
    """Unpickles records, never objects: each global is one of ours or the file is refused."""

    def __init__(self, data: io.BytesIO, role: str, sizes: dict[str, int] | None) -> None:
        """`sizes`: bytes of each `data/<key>` member, by key; None where only the globals matter."""
        super().__init__(data)
        self._role, self._sizes = role, sizes

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in _ITEM_BYTES:
            return StorageKind(name)
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return self._tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return self._parameter
        wanted = "".join(c if c.isprintable() else "?" for c in f"{module}.{name}"[:120])
        raise ImportRefused(
            f"The {self._role} file asks for {wanted}, which no checkpoint of weights needs: it could run code. "
            "Nothing of it was executed or imported."
        )

    def persistent_load(self, pid: Any) -> StorageClaim:
        tag, kind, key, _, count = pid[:5]  # the old format adds a sixth
        if tag != "storage" or not isinstance(kind, StorageKind) or type(count) is not int or count < 0:
            raise damaged(self._role, "it describes a storage that does not exist")
        if self._sizes is not None and self._sizes.get(str(key)) != count * _ITEM_BYTES[kind.name]:
            raise damaged(self._role, f"a tensor claims {count} values that the file does not hold")
        return StorageClaim(kind.name, count)

    def _parameter(self, tensor: TensorClaim, *_: object) -> TensorClaim:
        return tensor

    def _tensor(
        self, storage: StorageClaim, offset: int, shape: tuple[int, ...], stride: tuple[int, ...], *_: object
    ) -> TensorClaim:
        numbers = (offset, *shape, *stride)
        if not isinstance(storage, StorageClaim) or len(shape) != len(stride):
            raise damaged(self._role, "it describes a tensor that does not exist")
        if any(type(number) is not int or number < 0 for number in numbers):
            raise damaged(self._role, "it describes a tensor that does not exist")
        if math.prod(shape) > 0 and tuple(stride) != _dense(shape, stride):
            raise ImportRefused(
                f"The {self._role} file repeats values to claim a larger tensor than it holds (strides)."
            )
        if offset + math.prod(shape) > storage.count:
            raise ImportRefused(f"The {self._role} file claims a larger tensor than it holds.")
        return TensorClaim(storage.kind, tuple(shape))


def _dense(shape: tuple[int, ...], stride: tuple[int, ...]) -> tuple[int, ...]:
    """Strides of a dense row-major tensor; the stride of an axis of length 1 is free."""
    step, dense = 1, list(stride)
    for axis in reversed(range(len(shape))):
        if shape[axis] != 1:
            dense[axis] = step
        step *= shape[axis]
    return tuple(dense)


def read_claims(path: Path, role: str) -> dict[str, TensorClaim]:
    """Names and shapes of the weights in a checkpoint, without `module.`; nothing is loaded.

    Accepts the authors' {"model": state, "optimizer": ...} and a bare state dict. `role` names the file in messages.

    Raises:
        ImportRefused: the file is damaged, hostile, or not such a checkpoint.
    """
    if not path.is_file():
        raise ImportRefused(f"The {role} file does not exist.")
    if not 0 < path.stat().st_size <= _MAX_FILE_BYTES:
        raise ImportRefused(f"The {role} file is empty or larger than {_MAX_FILE_BYTES >> 30} GiB.")
    try:
        top = _read_zip(path, role) if zipfile.is_zipfile(path) else _refuse_other(path, role)
        return {plain: claim for plain, (_, claim) in _state(top, role).items()}
    except _UNREADABLE as err:
        raise damaged(role, "it cannot be read to its end") from err


def _read_zip(path: Path, role: str) -> Any:
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        names = [member.filename for member in members]
        if len(members) > _MAX_MEMBERS or len(set(names)) != len(names):
            raise ImportRefused(f"The {role} file is not a checkpoint: too many members, or two of the same name.")
        if any(
            m.compress_type != zipfile.ZIP_STORED or m.file_size != m.compress_size or m.flag_bits & 1 for m in members
        ):
            raise ImportRefused(f"The {role} file has compressed members, which torch.save never writes.")
        pickles = [name for name in names if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise ImportRefused(f"The {role} file is not a PyTorch checkpoint: it has no data.pkl.")
        if (
            archive.getinfo(pickles[0]).file_size > _MAX_PICKLE_BYTES
            or sum(m.file_size for m in members) > _MAX_FILE_BYTES
        ):
            raise ImportRefused(f"The {role} file is larger than any HA-GAN checkpoint.")
        if archive.testzip() is not None:
            raise damaged(role, "a checksum does not match")
        prefix = pickles[0].removesuffix("data.pkl") + "data/"
        sizes = {m.filename.removeprefix(prefix): m.file_size for m in members if m.filename.startswith(prefix)}
        return ClaimReader(io.BytesIO(archive.read(pickles[0])), role, sizes).load()


def _refuse_other(path: Path, role: str) -> Any:
    """Says what a file that is no zip is instead."""
    with path.open("rb") as file:
        head = file.read(_MAX_PICKLE_BYTES)
    if head.lstrip()[:1] == b"<":
        raise damaged(role, "it is a web page, not a checkpoint")
    if head[:2] == b"PK":
        raise damaged(role, "it is cut short")
    if head[:1] != b"\x80":
        raise damaged(role, "it does not begin like a PyTorch checkpoint")
    stream = io.BytesIO(head)
    first = ClaimReader(stream, role, None).load()
    if first == _LEGACY_MAGIC:
        for _ in range(3):  # protocol, system, the object: a forbidden global is named first
            ClaimReader(stream, role, None).load()
    raise ImportRefused(
        f"The {role} file is a bare pickle, not a checkpoint as torch.save of torch 1.6 or later writes it."
    )


def _state(top: Any, role: str) -> dict[str, tuple[str, Any]]:
    """Plain name -> (name in the file, tensor or claim) of the one set of weights in a checkpoint."""
    if not isinstance(top, dict) or not top:
        raise ImportRefused(f"The {role} file holds no dictionary of weights.")
    loose = [name for name, value in dict.items(top) if isinstance(value, TensorClaim | torch.Tensor)]
    state = dict.get(top, "model", top)
    if state is not top and loose:
        raise ImportRefused(f"The {role} file has weights both under 'model' and beside it; which to take is unclear.")
    if not isinstance(state, dict) or not all(isinstance(v, TensorClaim | torch.Tensor) for v in dict.values(state)):
        raise ImportRefused(
            f"The {role} file has no 'model' entry with weights and is not a bare set of weights either."
        )
    plain = {str(name).removeprefix("module."): (name, value) for name, value in dict.items(state)}
    prefixed = sum(str(name).startswith("module.") for name in dict.keys(state))
    if prefixed not in (0, len(state)) or len(plain) != len(state):
        raise ImportRefused(
            f"The {role} file has weights with and without the prefix 'module.'; which to take is unclear."
        )
    return plain


def read_tensors(path: Path, role: str, names: Iterable[str]) -> dict[str, torch.Tensor]:
    """The named weights (claims already checked), finite and on the CPU, by plain name.

    Raises:
        ImportRefused: torch refuses the file, or a value is not finite.
    """
    try:
        top = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except _UNREADABLE as err:
        raise damaged(role, "PyTorch cannot read it") from err
    state = _state(top, role)
    tensors = {name: state[name][1].clone() for name in names}
    for name, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise ImportRefused(f"The {role} file has values that are not finite in {name}.")
    return tensors
