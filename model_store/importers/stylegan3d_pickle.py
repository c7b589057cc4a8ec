"""The restricted reader of the 3D-StyleGAN authors' pickles. Runs in the jail only.

Such a pickle asks for eight classes and functions at most, of dnnlib and numpy. Each is replaced by a plain holder of
ours, everything else is refused by name. No library of theirs is imported, and the network's source text, which their
own loader executes, stays a string.
"""

import math
import pickle
from pathlib import Path
from typing import Any, NoReturn

from model_store.importers.archive import damaged
from model_store.importers.jail import ImportRefused
from model_store.regular_files import open_regular

ROLE = "pickle"
_MAX_FILE_BYTES = 2 << 30
_MAX_AXES = 8
_MAX_LENGTH = 1 << 31
_UNREADABLE = (
    pickle.UnpicklingError, EOFError, AttributeError, TypeError, ValueError, KeyError, IndexError, OverflowError,
    RecursionError, RuntimeError, NotImplementedError, ImportError, OSError,
)  # fmt: skip


class NumberType:
    """Stands in for numpy.dtype: "f4" is `code`, "<" is `order`."""

    def __init__(self, code: object, *_: object) -> None:
        if not isinstance(code, str) or not 2 <= len(code) <= 3 or not code[1:].isdecimal():
            raise damaged(ROLE, "it describes numbers of an unknown type")
        self.code, self.order = code, "|"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = {"<": "<", "|": "|"}.get(state[1], ">")

    @property
    def size_bytes(self) -> int:
        """Of one number."""
        return int(self.code[1:])


class ArrayClaim:
    """Stands in for a numpy array or scalar: shape, type and raw bytes, exactly as many as the shape needs."""

    def __init__(self) -> None:
        self.shape: tuple[int, ...] = (0,)
        self.code = ""
        self.is_fortran = False
        self.data: bytes | bytearray = b""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """numpy's own state of an array: version, shape, dtype, whether column-major, bytes."""
        _, shape, kind, is_fortran, data = state
        self.fill(data, kind, shape, bool(is_fortran))

    def fill(self, data: Any, kind: Any, shape: Any, is_fortran: bool) -> "ArrayClaim":
        """Checks what the pickle says of the array."""
        raw = data.encode("latin1") if isinstance(data, str) else data
        if not isinstance(kind, NumberType) or not isinstance(raw, bytes | bytearray) or not isinstance(shape, tuple):
            raise damaged(ROLE, "it describes an array that does not exist")
        if len(shape) > _MAX_AXES or any(type(n) is not int or not 0 <= n <= _MAX_LENGTH for n in shape):
            raise damaged(ROLE, "it describes an array of an impossible shape")
        if kind.order == ">" or kind.code[0] not in "fiub":
            raise damaged(ROLE, "it holds numbers of a type that no such network has")
        if math.prod(shape) * kind.size_bytes != len(raw):
            raise damaged(ROLE, f"an array of {len(raw)} bytes claims the shape {shape}")
        self.shape, self.code, self.is_fortran, self.data = shape, kind.code, is_fortran, raw
        return self


class NetworkClaim:
    """Stands in for dnnlib.tflib.network.Network."""

    def __init__(self) -> None:
        self.state: dict[Any, Any] = {}

    def __setstate__(self, state: dict[Any, Any]) -> None:
        if not isinstance(state, dict):
            raise damaged(ROLE, "a network in it is not a dictionary")
        self.state = state


class Entries(dict[Any, Any]):
    """Stands in for EasyDict and OrderedDict."""

    def __setstate__(self, state: object) -> None:
        """Attributes beside the entries mean nothing."""


class _ArrayClass:
    """Stands in for the name numpy.ndarray, which only `_reconstruct` may receive."""


def _scalar(kind: NumberType, data: bytes | str) -> ArrayClaim:
    return ArrayClaim().fill(data, kind, (), False)


def _from_buffer(data: bytes | bytearray, kind: NumberType, shape: tuple[int, ...], order: str) -> ArrayClaim:
    return ArrayClaim().fill(data, kind, shape, order == "F")


def _reconstruct(kind: object, *_: object) -> ArrayClaim:
    if kind is not _ArrayClass:
        raise damaged(ROLE, "it describes an array that does not exist")
    return ArrayClaim()


_HOLDERS: dict[tuple[str, str], Any] = {
    ("dnnlib.tflib.network", "Network"): NetworkClaim,
    ("dnnlib.util", "EasyDict"): Entries,
    ("collections", "OrderedDict"): Entries,
    ("numpy", "dtype"): NumberType,
    ("numpy", "ndarray"): _ArrayClass,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
}


class RestrictedReader(pickle.Unpickler):
    """Unpickles holders, never their classes."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _HOLDERS:
            return _HOLDERS[module, name]
        wanted = printable(f"{module}.{name}")
        raise ImportRefused(
            f"The {ROLE} file asks for {wanted}, which no network of the authors needs: it could run code. "
            "Nothing of it was executed or imported."
        )

    def persistent_load(self, pid: Any) -> NoReturn:  # noqa: ARG002 -- there is nothing outside
        raise damaged(ROLE, "it points outside itself")


def printable(text: object) -> str:
    """A stranger's text, fit for a message."""
    return "".join(c if c.isprintable() else "?" for c in str(text)[:120])


def read_networks(path: Path) -> tuple[NetworkClaim, NetworkClaim, NetworkClaim]:
    """G, D and Gs of a pickle, as holders.

    Raises:
        ImportRefused: the file is damaged, hostile, or not such a pickle.
    """
    if not path.is_file():
        raise ImportRefused(f"The {ROLE} file does not exist.")
    if not 0 < path.stat().st_size <= _MAX_FILE_BYTES:
        raise ImportRefused(f"The {ROLE} file is empty or larger than {_MAX_FILE_BYTES >> 30} GiB.")
    try:
        with open_regular(path) as file:
            _check_start(file.read(64))
            file.seek(0)
            top = RestrictedReader(file, encoding="latin1").load()
    except _UNREADABLE as err:
        raise damaged(ROLE, "it cannot be read to its end") from err
    if not isinstance(top, tuple) or len(top) != 3 or not all(isinstance(part, NetworkClaim) for part in top):
        raise ImportRefused(f"The {ROLE} file is not a network of the authors: it holds no tuple (G, D, Gs).")
    return top


def _check_start(head: bytes) -> None:
    if head.lstrip()[:1] == b"<":
        raise damaged(ROLE, "it is a web page")
    if head[:2] == b"PK":
        raise ImportRefused(f"The {ROLE} file is a zip archive, perhaps a PyTorch checkpoint; a pickle is needed.")
    if head[:1] != b"\x80":
        raise damaged(ROLE, "it does not begin like a pickle")
