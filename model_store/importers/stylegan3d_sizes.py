"""What network a 3D-StyleGAN pickle holds: read off the names and shapes of its variables, then held against what the
build arguments say. Neither is believed alone. Runs in the jail only."""

import math
import re
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from model_store.importers.jail import ImportRefused
from model_store.importers.stylegan3d_pickle import ArrayClaim, NetworkClaim, printable

Claims = Mapping[str, ArrayClaim]
_CONST = re.compile(r"(\d{1,4})x(\d{1,4})[xX](\d{1,4})/Const/const")
_NOISE_DEFAULT = re.compile(r"randomize_noise\s*=\s*(True|False)")
_MAX_BLOCKS, _MAX_WIDTH, _MAX_LAYERS, _MAX_VOXELS, _MAX_EDGE = 10, 8192, 64, 1 << 28, 1024
_FORMATS = {"f2": "<e", "f4": "<f", "f8": "<d", "i4": "<i", "i8": "<q", "b1": "<?"}
_USUAL = {"num_channels": 1, "nonlinearity": "lrelu", "mapping_nonlinearity": "lrelu", "normalize_latents": True}
_TAPS = [1.0, 3.0, 3.0, 3.0, 1.0]


@dataclass(frozen=True)
class Sizes:
    """One generator network; `widths` are the channels of block 2 to R."""

    prefix: str
    """Scope of the first block, such as 5x6X7."""
    base: tuple[int, int, int]
    widths: tuple[int, ...]
    architecture: Literal["orig", "skip", "resnet"]
    noise: bool
    z_dim: int
    w_dim: int
    num_classes: int
    mapping_layers: int
    mapping_width: int
    lrmul: float
    taps: tuple[float, ...]
    psi: float
    cutoff: int | None
    dtype: str
    random_noise: bool | None
    """Whether the authors' code drew fresh noise by default when the network was trained; None: not told."""

    @property
    def num_styles(self) -> int:
        return 2 * len(self.widths)

    def edges(self, doublings: int) -> tuple[int, ...]:
        """Of the feature maps after so many doublings."""
        return tuple(length << doublings for length in self.base)

    def scope(self, doublings: int) -> str:
        """The authors' name of a block."""
        return "x".join(str(length) for length in self.edges(doublings)) if doublings else self.prefix

    def facts(self) -> dict[str, Any]:
        """As JSON."""
        lists = {"base": list(self.base), "widths": list(self.widths), "taps": list(self.taps)}
        shape = list(self.edges(len(self.widths) - 1))
        return asdict(self) | lists | {"shape": shape, "num_styles": self.num_styles}


@dataclass(frozen=True)
class Parts:
    """The variables of a generator by sub-network, with its build arguments and their source text."""

    own: Claims
    mapping: Claims
    synthesis: Claims
    arguments: dict[str, Any]
    source: str


def take_apart(network: NetworkClaim) -> Parts:
    """Raises: ImportRefused, where a network lacks what each of the authors' has."""
    if network.state.get("version") != 4:
        raise _unlike("its format version is not 4")
    components = _entries(network, "components")
    if not all(isinstance(components.get(name), NetworkClaim) for name in ("mapping", "synthesis")):
        raise _unlike("a generator needs the components mapping and synthesis")
    mapping, synthesis = components["mapping"], components["synthesis"]
    arguments: dict[str, Any] = {}
    for part in (network, mapping, synthesis):
        arguments |= {key: _plain(value) for key, value in _entries(part, "static_kwargs").items()}
    source = synthesis.state.get("build_module_src")
    text = source if isinstance(source, str) else ""
    return Parts(_variables(network), _variables(mapping), _variables(synthesis), arguments, text)


def settle(parts: Parts) -> Sizes:
    """The sizes of a generator.

    Raises:
        ImportRefused: variables that make no network, or build arguments that tell of another one.
    """
    prefix, base = _base(parts.synthesis)
    blocks = 1
    while f"{_scope(base, blocks)}/Conv0_up/weight" in parts.synthesis and blocks < _MAX_BLOCKS:
        blocks += 1
    edges = [length << (blocks - 1) for length in base]
    if max(edges) > _MAX_EDGE or math.prod(edges) > _MAX_VOXELS:
        raise _unlike(f"its volume would be {'x'.join(map(str, edges))}")
    z_dim, w_dim, num_classes, layers, width = _mapping(parts)
    told = parts.arguments
    psi, cutoff = _truncation(told, 2 * blocks)
    dtype = told["dtype"] if isinstance(told.get("dtype"), str) else "float16"
    sizes = Sizes(
        prefix, base, _widths(parts.synthesis, prefix, base, blocks), _architecture(parts.synthesis, prefix, blocks),
        any(name.endswith("/noise_strength") for name in parts.synthesis), z_dim, w_dim, num_classes, layers, width,
        _number(told, "mapping_lrmul", 0.01), _taps(told), psi, cutoff, printable(dtype),
        _random_noise(parts),
    )  # fmt: skip
    _compare(sizes, told)
    return sizes


def _unlike(what: str) -> ImportRefused:
    return ImportRefused(f"The pickle file is not a 3D-StyleGAN of the authors: {what}.")


def _entries(network: NetworkClaim, key: str) -> dict[Any, Any]:
    found = network.state.get(key)
    if not isinstance(found, dict):
        raise _unlike(f"a network has no {key}")
    return found


def _variables(network: NetworkClaim) -> Claims:
    rows = network.state.get("variables")
    if not isinstance(rows, list):
        raise _unlike("a network has no variables")
    found: dict[str, ArrayClaim] = {}
    for row in rows:
        if not (
            isinstance(row, tuple) and len(row) == 2 and isinstance(row[0], str) and isinstance(row[1], ArrayClaim)
        ):
            raise _unlike("a variable is not a name with an array")
        if row[0] in found:
            raise _unlike(f"the variable {printable(row[0])} appears twice")
        found[row[0]] = row[1]
    return found


def _plain(value: object) -> Any:
    """A build argument as a number, text or list; None for what is none of these."""
    if isinstance(value, ArrayClaim):
        is_small = len(value.shape) <= 1 and len(value.data) <= 128 and value.code in _FORMATS
        numbers = [number for (number,) in struct.iter_unpack(_FORMATS[value.code], value.data)] if is_small else None
        return numbers[0] if numbers and value.shape == () else numbers
    if isinstance(value, list | tuple) and len(value) <= 16:
        return [_plain(part) for part in value if not isinstance(part, list | tuple)]
    return value if isinstance(value, bool | int | float | str) else None


def _base(synthesis: Claims) -> tuple[str, tuple[int, int, int]]:
    found = [match for name in synthesis if (match := _CONST.fullmatch(name))]
    if len(found) != 1:
        raise _unlike("it needs exactly one learned constant")
    a0, a1, a2 = (int(length) for length in found[0].groups())
    if min(a0, a1, a2) < 1:
        raise _unlike("its learned constant is empty")
    return found[0].group().removesuffix("/Const/const"), (a0, a1, a2)


def _scope(base: tuple[int, ...], doublings: int) -> str:
    return "x".join(str(length << doublings) for length in base)


def _length(claims: Claims, name: str, axis: int) -> int:
    """One length of a variable's shape, within reason."""
    if name not in claims:
        raise _unlike(f"it lacks {name}")
    shape = claims[name].shape
    if not -len(shape) <= axis < len(shape) or not 1 <= shape[axis] <= _MAX_WIDTH:
        raise _unlike(f"{name} has the impossible shape {shape}")
    return shape[axis]


def _widths(synthesis: Claims, prefix: str, base: tuple[int, int, int], blocks: int) -> tuple[int, ...]:
    scopes = [_scope(base, doublings) for doublings in range(1, blocks)]
    return _length(synthesis, f"{prefix}/Const/const", 1), *(
        _length(synthesis, f"{scope}/Conv1/weight", -1) for scope in scopes
    )


def _architecture(synthesis: Claims, prefix: str, blocks: int) -> Literal["orig", "skip", "resnet"]:
    if any(name.endswith("/Skip/weight") for name in synthesis):
        return "resnet"
    return "skip" if blocks > 1 and f"{prefix}/ToRGB/weight" in synthesis else "orig"


def _mapping(parts: Parts) -> tuple[int, int, int, int, int]:
    """z_dim, w_dim, classes, layers, width."""
    layers = 0
    while f"Dense{layers}/weight" in parts.mapping and layers < _MAX_LAYERS:
        layers += 1
    inputs = _length(parts.mapping, "Dense0/weight", 0)
    has_label = "LabelConcat/weight" in parts.mapping
    num_classes = _length(parts.mapping, "LabelConcat/weight", 0) if has_label else 0
    if has_label and inputs % 2:
        raise _unlike("its mapping does not read a latent and an embedded class of the same length")
    width = _length(parts.mapping, "Dense0/weight", 1)
    return inputs // 2 if has_label else inputs, _length(parts.own, "dlatent_avg", 0), num_classes, layers, width


def _number(told: dict[str, Any], key: str, default: float) -> float:
    value = told.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= 1e6:
        raise _unlike(f"its argument {key} is not a number")
    return float(value)


def _taps(told: dict[str, Any]) -> tuple[float, ...]:
    taps = told.get("resample_kernel", _TAPS)
    if not isinstance(taps, list) or len(taps) != 5:
        raise ImportRefused("The network resamples with another number of taps than 5, which is not supported.")
    values = tuple(_number({"resample_kernel": tap}, "resample_kernel", 0.0) for tap in taps)
    if not sum(values) > 0:
        raise _unlike("its resampling taps have no positive sum")
    return values


def _truncation(told: dict[str, Any], num_styles: int) -> tuple[float, int | None]:
    """psi and cutoff that the network takes by itself: 0.5 on all styles where nothing is said."""
    psi = 1.0 if told.get("truncation_psi", 0.5) is None else _number(told, "truncation_psi", 0.5)
    cutoff = told.get("truncation_cutoff")
    if not 0 <= psi <= 1 or isinstance(cutoff, bool) or not isinstance(cutoff, int | None):
        raise _unlike("its truncation arguments make no sense")
    if cutoff is not None and cutoff < 1:
        return 1.0, None
    return psi, cutoff if cutoff is not None and cutoff < num_styles else None


def _random_noise(parts: Parts) -> bool | None:
    told = parts.arguments.get("randomize_noise")
    if isinstance(told, bool):
        return told
    defaults = set(_NOISE_DEFAULT.findall(parts.source))
    return defaults == {"True"} if len(defaults) == 1 else None


def _compare(sizes: Sizes, told: dict[str, Any]) -> None:
    """The build arguments that change the forward pass, against the variables."""
    for key, usual in _USUAL.items():
        if told.get(key, usual) != usual:
            raise ImportRefused(f"The network was built with another {key} than {usual}, which is not supported.")
    expected = {
        "latent_size": sizes.z_dim, "dlatent_size": sizes.w_dim, "label_size": sizes.num_classes,
        "base_size": list(sizes.base), "no_noise": not sizes.noise, "architecture": sizes.architecture,
    }  # fmt: skip
    if len(sizes.widths) == 1:
        del expected["architecture"]  # one block alone is the same network in all three
    wrong = [key for key, value in expected.items() if key in told and told[key] != value]
    if "resolution" in told:
        blocks = _number(told, "resolution", 0) / min(sizes.base) * 4
        if blocks < 4 or math.floor(math.log2(int(blocks))) - 1 != len(sizes.widths):
            wrong.append("resolution")
    if wrong:
        raise _unlike(f"its variables contradict its arguments {', '.join(sorted(wrong))}")
