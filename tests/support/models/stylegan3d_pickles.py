"""Pickles as the 3D-StyleGAN authors' training writes them, with random weights: classes named, never imported."""

import io
import math
import pickle
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Variables = dict[str, NDArray[np.float32]]
FLOAT_STATE = (3, "<", None, None, None, -1, -1, 0)


@dataclass(frozen=True)
class Global:
    """A class or function that a pickle names."""

    module: str
    name: str


@dataclass
class Call:
    """A value that a pickle makes by calling something."""

    function: Global
    arguments: tuple[Any, ...]


@dataclass
class Network:
    """A dnnlib Network by its state."""

    state: dict[str, Any]


@dataclass
class Generator:
    """The variables of a generator, and the build arguments that belong to them."""

    own: Variables
    mapping: Variables
    synthesis: Variables
    arguments: dict[str, Any] = field(default_factory=dict)

    def network(self, name: str = "Gs", source: str = "# removed") -> Network:
        """As it is pickled."""
        parts = {"synthesis": self.synthesis, "mapping": self.mapping}
        components = {key: network(f"G_{key}", value, self.arguments, source) for key, value in parts.items()}
        return network(name, self.own, self.arguments, source, components)


def network(
    name: str, variables: Variables, arguments: dict[str, Any], source: str = "", components: Any = None
) -> Network:
    rows = [(key, value[()] if np.shape(value) == () else value) for key, value in variables.items()]
    return Network({"version": 4, "name": name, "static_kwargs": dict(arguments), "components": components or {},
                    "build_module_src": source, "build_func_name": name, "variables": rows})  # fmt: skip


class Writer(pickle._Pickler):  # type: ignore[name-defined,misc]
    """Writes numpy's values by the names of numpy 1, and Global, Call and Network as what they stand for."""

    def save(self, obj: Any, save_persistent_id: bool = True) -> None:
        writers: dict[type, Callable[[Any], None]] = {
            Global: self._global, Call: self._call, Network: self._network, np.ndarray: self._array,
        }  # fmt: skip
        if isinstance(obj, np.dtype):
            self._call(Call(Global("numpy", "dtype"), (obj.str[1:], False, True)))
            self.save(FLOAT_STATE)
            self.write(pickle.BUILD)
        elif isinstance(obj, np.generic):
            self._call(Call(Global("numpy.core.multiarray", "scalar"), (obj.dtype, obj.tobytes())))
        elif isinstance(obj, bytes) and self.proto < 3:  # as Python 2 wrote them
            self.write(pickle.BINSTRING + struct.pack("<i", len(obj)) + obj)
        elif type(obj) in writers:
            writers[type(obj)](obj)
        else:
            super().save(obj, save_persistent_id)

    def _global(self, obj: Global) -> None:
        if self.proto < 4:
            self.write(pickle.GLOBAL + f"{obj.module}\n{obj.name}\n".encode())
            return
        self.save(obj.module)
        self.save(obj.name)
        self.write(pickle.STACK_GLOBAL)

    def _call(self, obj: Call) -> None:
        self._global(obj.function)
        self.save(obj.arguments)
        self.write(pickle.REDUCE)

    def _network(self, obj: Network) -> None:
        self._global(Global("dnnlib.tflib.network", "Network"))
        self.write(pickle.EMPTY_TUPLE + pickle.NEWOBJ)
        self.save(obj.state)
        self.write(pickle.BUILD)

    def _array(self, obj: NDArray[Any]) -> None:
        if self.proto > 4:
            data = (bytearray(obj.tobytes("A")), obj.dtype, obj.shape, "F" if np.isfortran(obj) else "C")
            self._call(Call(Global("numpy.core.numeric", "_frombuffer"), data))
            return
        self._call(Call(Global("numpy.core.multiarray", "_reconstruct"), (Global("numpy", "ndarray"), (0,), b"b")))
        self.save((1, obj.shape, obj.dtype, np.isfortran(obj), obj.tobytes("A")))
        self.write(pickle.BUILD)


def dumps(value: Any, protocol: int = 5) -> bytes:
    """The pickle of a value."""
    buffer = io.BytesIO()
    Writer(buffer, protocol).dump(value)
    return buffer.getvalue()


def generator(
    base: Sequence[int] = (3, 2, 4),
    widths: Sequence[int] = (6, 5, 4),
    z_dim: int = 8,
    w_dim: int = 7,
    mapping_width: int = 9,
    architecture: str = "orig",
    noise: bool = True,
    num_classes: int = 0,
    seed: int = 0,
    **arguments: Any,
) -> Generator:
    """Random variables of the authors' shapes; volumes get a standard deviation near 0.3."""
    draw = np.random.default_rng(seed)

    def normal(*shape: int, std: float = 1.0) -> NDArray[np.float32]:
        return np.asarray(draw.standard_normal(shape) * std, dtype=np.float32)

    mapping: Variables = {"LabelConcat/weight": normal(num_classes, z_dim)} if num_classes else {}
    sizes = [z_dim * (2 if num_classes else 1), *[mapping_width] * 7, w_dim]
    for n in range(8):
        mapping |= {
            f"Dense{n}/weight": normal(sizes[n], sizes[n + 1], std=100),
            f"Dense{n}/bias": normal(sizes[n + 1], std=10),
        }
    synthesis: Variables = {}

    def styled(scope: str, into: int, out: int) -> None:
        synthesis[f"{scope}/weight"] = normal(3, 3, 3, into, out)
        synthesis[f"{scope}/mod_weight"] = normal(w_dim, into, std=0.3)
        synthesis[f"{scope}/mod_bias"] = normal(into, std=0.2)
        if noise:
            synthesis[f"{scope}/noise_strength"] = normal(std=0.3)
        synthesis[f"{scope}/bias"] = normal(out, std=0.2)

    def image(scope: str, into: int) -> None:
        synthesis[f"{scope}/ToRGB/weight"] = normal(1, 1, 1, into, 1)
        synthesis[f"{scope}/ToRGB/mod_weight"] = normal(w_dim, into, std=0.3)
        synthesis[f"{scope}/ToRGB/mod_bias"] = normal(into, std=0.2)
        synthesis[f"{scope}/ToRGB/bias"] = normal(1, std=0.1)

    for index in range(2 * len(widths) - 1):
        edges = [length << (index + 1) // 2 for length in base]
        synthesis[f"noise{index}"] = normal(1, 1, *edges, std=1.0 if noise else 0.0)
    first = f"{base[0]}x{base[1]}X{base[2]}"
    synthesis[f"{first}/Const/const"] = normal(1, widths[0], *base)
    styled(f"{first}/Conv", widths[0], widths[0])
    if architecture == "skip" or len(widths) == 1:
        image(first, widths[0])
    for k in range(1, len(widths)):
        scope = "x".join(str(length << k) for length in base)
        styled(f"{scope}/Conv0_up", widths[k - 1], widths[k])
        styled(f"{scope}/Conv1", widths[k], widths[k])
        if architecture == "skip" or k == len(widths) - 1:
            image(scope, widths[k])
        if architecture == "resnet":
            synthesis[f"{scope}/Skip/weight"] = normal(1, 1, 1, widths[k - 1], widths[k])
    told = {"num_channels": 1, "resolution": np.int64(min(base) << (len(widths) - 1)), "label_size": num_classes,
            "dtype": "float16", "latent_size": z_dim, "dlatent_size": w_dim, "mapping_fmaps": mapping_width,
            "base_size": list(base), "fmap_base": 8192, "architecture": architecture}  # fmt: skip
    told |= ({} if noise else {"no_noise": True}) | arguments
    own = {"lod": np.zeros((), np.float32), "dlatent_avg": normal(w_dim, std=math.sqrt(0.1))}
    return Generator(own, mapping, synthesis, told)


def snapshot(gs: Generator, protocol: int = 5, g: Generator | None = None, source: str = "# removed") -> bytes:
    """A pickle of (G, D, Gs). D is never looked at."""
    d = network("D", {"3x2x4/Output/bias": np.zeros(1, np.float32)}, {"architecture": "resnet"})
    return dumps(((g or gs).network("G", source), d, gs.network("Gs", source)), protocol)
