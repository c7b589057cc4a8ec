"""A network in an ONNX file, run by onnxruntime: which input takes what, and one volume or latent at a time."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from model_store.networks.onnx_graph import GraphRefused, check_graph

Shape = tuple[int, int, int]
_FLOATS = {"tensor(float)": torch.float32, "tensor(double)": torch.float64, "tensor(float16)": torch.float16}
_INTEGERS = {"tensor(int64)": torch.int64, "tensor(int32)": torch.int32}
_NO_MEMORY = ("Failed to allocate memory", "bad allocation", "bad_alloc", "out of memory")
_SILENT = 4
"""onnxruntime's log: fatal errors alone. What goes wrong is an exception anyway."""


@dataclass(frozen=True)
class Port:
    """An input or output of the file."""

    name: str
    kind: str
    """As onnxruntime calls it: tensor(float)."""
    sides: tuple[int | None, ...]
    """None: not fixed."""

    @property
    def is_float(self) -> bool:
        return self.kind in _FLOATS

    @property
    def values(self) -> int | None:
        """How many each sample has, where the file fixes it."""
        known = [side for side in self.sides[1:] if side is not None]
        return math.prod(known) if known and len(known) == len(self.sides) - 1 else None

    def filled(self, count: int) -> tuple[int, ...] | None:
        """The sides for one sample of so many values; None where it cannot have them."""
        if not self.sides or self.sides[0] not in (None, 1) or self.sides.count(None) - (self.sides[0] is None) > 1:
            return None
        known = math.prod(side for side in self.sides[1:] if side is not None)
        if count % known if None in self.sides[1:] else count != known:
            return None
        return (1, *(count // known if side is None else side for side in self.sides[1:]))

    def spelt(self, shape: Shape) -> tuple[int, ...] | None:
        """Its sides as one volume of that shape, with or without a channel; None where it is none."""
        for sides in spellings(shape):
            same = [own in (None, side) for own, side in zip(self.sides, sides, strict=False)]
            if len(sides) == len(self.sides) and all(same):
                return sides
        return None

    def __str__(self) -> str:
        name = "".join(c if c.isprintable() else "?" for c in self.name[:40])
        sides = ", ".join("N" if side is None else str(side) for side in self.sides)
        return f"{name} {self.kind.removeprefix('tensor(').removesuffix(')')} ({sides})"


def spellings(shape: Shape) -> tuple[tuple[int, ...], ...]:
    """The sides of one volume as networks have it."""
    return (1, 1, *shape), (1, *shape, 1), (1, *shape), shape


class Session:
    """A judged file, ready to run. Always one sample at a time, so that it is the same alone and among others."""

    def __init__(self, data: bytes, device: torch.device, threads: int) -> None:
        """`threads`: of one operator; the sums that they share depend on their number.

        Raises:
            GraphRefused: no such file as is run here, or onnxruntime is not there or does not take it.
        """
        check_graph(data)
        self.device, self._runtime = device, _runtime()
        options = self._runtime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.use_deterministic_compute = True
        # What a run took goes back after it: the bench counts weights alone as resident.
        options.enable_cpu_mem_arena = options.enable_mem_pattern = False
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads leave the cores alone
        options.log_severity_level = _SILENT
        try:
            self._session = self._runtime.InferenceSession(data, options, providers=self._providers())
        except self._failures() as err:
            raise GraphRefused("onnxruntime does not take this ONNX file: it is damaged or too new.") from err
        self.inputs = tuple(_ports(self._session.get_inputs()))
        self.outputs = tuple(_ports(self._session.get_outputs()))

    def run(self, feed: Mapping[Port, Tensor], output: Port) -> Tensor:
        """One output of the inputs, on the CPU. Raises: RuntimeError, also where memory runs out."""
        given = {port.name: _typed(port, value) for port, value in feed.items()}
        try:
            found = self._session.run([output.name], given)[0]
        except self._failures() as err:
            if any(sign in str(err) for sign in _NO_MEMORY):
                raise _out_of_memory(self.device) from err
            raise RuntimeError("onnxruntime cannot run this network") from err
        return torch.from_numpy(found)

    def _providers(self) -> list[Any]:
        """CUDA's where onnxruntime has it and the device is one."""
        if self.device.type != "cuda" or "CUDAExecutionProvider" not in self._runtime.get_available_providers():
            return ["CPUExecutionProvider"]
        is_tf32 = torch.backends.cuda.matmul.allow_tf32
        how = {"device_id": self.device.index or 0, "use_tf32": int(is_tf32), "cudnn_conv_algo_search": "HEURISTIC"}
        return [("CUDAExecutionProvider", how), "CPUExecutionProvider"]

    def _failures(self) -> tuple[type[Exception], ...]:
        """onnxruntime's errors, which share no class of their own."""
        known = vars(self._runtime.capi.onnxruntime_pybind11_state).values()
        return tuple(kind for kind in known if isinstance(kind, type) and issubclass(kind, Exception))


class GeneratorGraph:
    """z, and a class where there are some, to a volume."""

    def __init__(self, session: Session, z_dim: int, classes: int, shape: Shape) -> None:
        """Raises: GraphRefused, with what the file has, where its inputs or outputs are others."""
        self._session, self._shape = session, shape
        inputs = session.inputs
        fitting = [port for port in inputs if port.is_float and port.filled(z_dim)]
        if not fitting:
            raise _unfit(f"None of the file's inputs takes a z of {z_dim} numbers", inputs)
        self._z = fitting[0]
        self._sides = self._z.filled(z_dim) or ()
        others = [port for port in inputs if port is not self._z]
        if len(others) != (classes > 0):
            wanted = "takes a z and a class" if classes else "takes a z alone"
            raise _unfit(f"A model with {classes} classes {wanted}", inputs)
        self._label = others[0] if others else None
        if self._label is not None and not (self._label.is_float or self._label.kind in _INTEGERS):
            raise _unfit("A class is a number or one-hot", inputs)
        self._classes = classes
        self._output = _only([port for port in session.outputs if port.spelt(shape)], _told(shape), session.outputs)

    def volume(self, z: Tensor, one_hot: Tensor) -> Tensor:
        """(z_dim,) and (classes,) -> (A0, A1, A2) in float32, on the CPU."""
        feed = {self._z: z.reshape(self._sides)}
        if self._label is not None:
            feed[self._label] = self._spelt_class(self._label, one_hot)
        made = self._session.run(feed, self._output)
        if tuple(made.shape) not in spellings(self._shape):
            raise RuntimeError("the ONNX network makes volumes of another shape than its card says")
        return made.reshape(self._shape).float()

    def _spelt_class(self, port: Port, one_hot: Tensor) -> Tensor:
        """One-hot where the input has room for it, else the class's index."""
        sides = port.filled(self._classes)
        if sides is not None and (port.is_float or self._classes > 1):
            return one_hot.reshape(sides)
        return one_hot.argmax().reshape([1] * len(port.sides))


class EncoderGraph:
    """A volume to z."""

    def __init__(self, session: Session, z_dim: int, shape: Shape) -> None:
        """Raises: GraphRefused, as GeneratorGraph."""
        self._session, self._z_dim = session, z_dim
        fitting = [port for port in session.inputs if port.is_float and port.spelt(shape)]
        if len(session.inputs) != 1 or not fitting:
            raise _unfit(f"An encoder takes {_told(shape)} and nothing else", session.inputs)
        self._input, self._sides = fitting[0], fitting[0].spelt(shape) or ()
        outputs = [port for port in session.outputs if port.is_float and port.filled(z_dim)]
        self._output = _only(outputs, f"a z of {z_dim} numbers", session.outputs)

    def latent(self, volume: Tensor) -> Tensor:
        """(A0, A1, A2) -> (z_dim,) in float32, on the CPU."""
        found = self._session.run({self._input: volume.reshape(self._sides)}, self._output)
        if found.numel() != self._z_dim:
            raise RuntimeError("the ONNX encoder makes latents of another length than its card says")
        return found.reshape(self._z_dim).float()


def _runtime() -> ModuleType:
    try:
        import onnxruntime
    except ModuleNotFoundError as err:
        raise GraphRefused("it needs onnxruntime, which the extra onnx brings and which is not installed here") from err
    runtime: ModuleType = onnxruntime
    return runtime


def _ports(found: Sequence[Any]) -> Iterator[Port]:
    for port in found:
        yield Port(port.name, port.type, tuple(side if isinstance(side, int) else None for side in port.shape))


def _typed(port: Port, value: Tensor) -> Any:
    """As a numpy array of the input's type."""
    return value.detach().cpu().to({**_FLOATS, **_INTEGERS}[port.kind]).contiguous().numpy()


def _only(fitting: Sequence[Port], what: str, ports: Sequence[Port]) -> Port:
    if len(fitting) != 1:
        raise _unfit(f"{'None' if not fitting else 'More than one'} of the file's values can be {what}", ports)
    return fitting[0]


def _told(shape: Shape) -> str:
    return f"a volume of {' x '.join(str(side) for side in shape)}"


def _unfit(reason: str, ports: Sequence[Port]) -> GraphRefused:
    return GraphRefused(f"{reason}; it has {', '.join(str(port) for port in ports[:8]) or 'none'}.")


def _out_of_memory(device: torch.device) -> RuntimeError:
    """As torch would say it, which the bench knows."""
    if device.type == "cuda":
        return torch.OutOfMemoryError("onnxruntime ran out of the device's memory")
    return RuntimeError("onnxruntime: can't allocate memory")
