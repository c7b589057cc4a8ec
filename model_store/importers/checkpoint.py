"""The strict reader of PyTorch checkpoints: claims are checked before any tensor exists. Runs in the jail only.

A `.pth` is a zip of stored members: `<root>/data.pkl`, a pickle that describes the tensors, and `<root>/data/<key>`,
their bytes. The pickle is read by `ClaimReader` alone, for which a tensor is a record of numbers. When every claim
holds, the tensors that are wanted are cut out of the same open file, at the places that were checked: what is used are
the bytes that were judged, and `torch.load` has no part in it (docs/decisions/0036).
"""

import io
import math
import pickle
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import torch

from model_store.importers.archive import LOCAL, Archive, damaged
from model_store.importers.claims import DTYPES, TensorClaim, sound
from model_store.importers.jail import ImportRefused
from model_store.importers.safe_checkpoint import SafeCheckpoint, is_safetensors
from model_store.importers.unwrapped import unwrapped
from model_store.regular_files import open_regular

_MAX_FILE_BYTES = 4 << 30
_MAX_PICKLE_BYTES = 4 << 20
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_INERT = {
    ("numpy", "dtype"), ("numpy", "ndarray"), ("_codecs", "encode"),
    *((module, name) for module in ("numpy.core.multiarray", "numpy._core.multiarray")
      for name in ("scalar", "_reconstruct")),
}  # fmt: skip
"""What numpy's numbers are pickled as; the last is how old protocols write their bytes."""
_UNREADABLE = (
    pickle.UnpicklingError, EOFError, AttributeError, TypeError, ValueError, KeyError, IndexError,
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
    key: str


class Inert:
    """Stands in for a number or array of numpy beside the weights, such as a best loss; holds nothing."""

    def __init__(self, *_: object) -> None:
        """Keeps none of what it is made of."""

    def __setstate__(self, _: object) -> None:
        """Nor of what would be its state."""


class ClaimReader(pickle.Unpickler):
    """Unpickles records, never objects: each global is one of ours or the file is refused."""

    def __init__(self, data: io.BytesIO, role: str, sizes: dict[str, int] | None) -> None:
        """`sizes`: bytes of each `data/<key>` member, by key; None where only the globals matter."""
        super().__init__(data)
        self._role, self._sizes = role, sizes

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in DTYPES:
            return StorageKind(name)
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return self._tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return self._parameter
        if (module, name) in _INERT:
            return Inert
        wanted = "".join(c if c.isprintable() else "?" for c in f"{module}.{name}"[:120])
        raise ImportRefused(
            f"The {self._role} file asks for {wanted}, which no checkpoint of weights needs: it could run code. "
            "Nothing of it was executed or imported."
        )

    def persistent_load(self, pid: Any) -> StorageClaim:
        tag, kind, key, _, count = pid[:5]  # the old format adds a sixth
        if tag != "storage" or not isinstance(kind, StorageKind) or type(count) is not int or count < 0:
            raise damaged(self._role, "it describes a storage that does not exist")
        if self._sizes is not None and self._sizes.get(str(key)) != count * DTYPES[kind.name].itemsize:
            raise damaged(self._role, f"a tensor claims {count} values that the file does not hold")
        return StorageClaim(kind.name, count, str(key))

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
        return TensorClaim(storage.kind, tuple(shape), storage.key, offset)


def _dense(shape: tuple[int, ...], stride: tuple[int, ...]) -> tuple[int, ...]:
    """Strides of a dense row-major tensor; the stride of an axis of length 1 is free."""
    step, dense = 1, list(stride)
    for axis in reversed(range(len(shape))):
        if shape[axis] != 1:
            dense[axis] = step
        step *= shape[axis]
    return tuple(dense)


class Checkpoint:
    """An open file whose every claim has been checked; nothing of its tensors is loaded."""

    def __init__(self, archive: Archive, role: str) -> None:
        """Raises: ImportRefused: damaged, hostile, or not such a checkpoint."""
        self._archive, self._role = archive, role
        archive.check_sums()
        self._root = _root(archive, role)
        pickled = archive.members[self._root + "data.pkl"]
        if pickled.size_bytes > _MAX_PICKLE_BYTES:
            raise ImportRefused(f"The {role} file is larger than any HA-GAN checkpoint.")
        order = archive.members.get(self._root + "byteorder")
        if order is not None and archive.read(order, 0, min(order.size_bytes, 16)) != b"little":
            raise ImportRefused(f"The {role} file was written on a big-endian machine, which is not read here.")
        prefix = self._root + "data/"
        sizes = {
            name.removeprefix(prefix): member.size_bytes
            for name, member in archive.members.items()
            if name.startswith(prefix)
        }
        top = ClaimReader(io.BytesIO(archive.read(pickled)), role, sizes).load()
        self.claims: dict[str, TensorClaim] = {plain: claim for plain, (_, claim) in unwrapped(top, role).items()}

    def tensors(self, names: Iterable[str]) -> dict[str, torch.Tensor]:
        """The named weights, finite and on the CPU, by plain name. Raises: ImportRefused."""
        return {name: sound(self._tensor(self.claims[name]), name, self._role) for name in names}

    def _tensor(self, claim: TensorClaim) -> torch.Tensor:
        dtype, count = DTYPES[claim.kind], math.prod(claim.shape)
        if not count:
            return torch.empty(claim.shape, dtype=dtype)
        start = claim.offset * dtype.itemsize
        member = self._archive.members[f"{self._root}data/{claim.key}"]
        data = self._archive.read(member, start, start + count * dtype.itemsize)
        return torch.frombuffer(bytearray(data), dtype=dtype).reshape(claim.shape)


@contextmanager
def opened(path: Path, role: str) -> Iterator[Checkpoint | SafeCheckpoint]:
    """A checkpoint, open for the time of the block; what is read of it comes from the one open file.

    A file of torch.save or of safetensors, by what it holds and not by its name; its weights as `unwrapped` finds them.
    `role` names the file in messages, and says which network is meant where it holds several.

    Raises:
        ImportRefused: the file is damaged, hostile, or not such a checkpoint.
    """
    if not path.is_file():
        raise ImportRefused(f"The {role} file does not exist.")
    if not 0 < path.stat().st_size <= _MAX_FILE_BYTES:
        raise ImportRefused(f"The {role} file is empty or larger than {_MAX_FILE_BYTES >> 30} GiB.")
    with open_regular(path) as file:
        yield SafeCheckpoint(path, role) if is_safetensors(file) else _checked(file, role)


def _checked(file: BinaryIO, role: str) -> Checkpoint:
    try:
        if file.read(len(LOCAL)) != LOCAL:
            file.seek(0)
            _refuse_other(file, role)
        return Checkpoint(Archive(file, role), role)
    except _UNREADABLE as err:
        raise damaged(role, "it cannot be read to its end") from err


def read_claims(path: Path, role: str) -> dict[str, TensorClaim]:
    """Names and shapes of a checkpoint's weights without wrappers' prefixes; nothing is loaded. Raises: as `opened`."""
    with opened(path, role) as checkpoint:
        return checkpoint.claims


def read_tensors(path: Path, role: str, names: Iterable[str]) -> dict[str, torch.Tensor]:
    """The named weights of a checkpoint. Raises: as `opened`, and where a value is not finite."""
    with opened(path, role) as checkpoint:
        return checkpoint.tensors(names)


def _root(archive: Archive, role: str) -> str:
    """The folder that all members lie in, with its slash; data.pkl lies in it."""
    roots = {name.partition("/")[0] for name in archive.members}
    root = f"{next(iter(roots), '')}/"
    if len(roots) != 1 or root + "data.pkl" not in archive.members:
        raise ImportRefused(f"The {role} file is not a PyTorch checkpoint: it has no data.pkl, or two of them.")
    return root


def _refuse_other(file: BinaryIO, role: str) -> NoReturn:
    """Says what a file that is no zip is instead."""
    head = file.read(_MAX_PICKLE_BYTES)
    if head.lstrip()[:1] == b"<":
        raise damaged(role, "it is a web page, not a checkpoint")
    if head[:2] == b"PK":
        raise damaged(role, "it does not begin like a PyTorch checkpoint")
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
