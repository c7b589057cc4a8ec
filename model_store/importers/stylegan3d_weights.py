"""The jailed half of the 3D-StyleGAN import: the authors' pickle to weights.safetensors. Runs in the jail only.

A table says for each of the authors' variables what it is called here, what shape it has, and which constant factors
of their run time are folded into it, so that the served network multiplies by none.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from model_store.importers.jail import ImportRefused
from model_store.importers.stylegan3d_pickle import ArrayClaim, printable, read_networks
from model_store.importers.stylegan3d_sizes import Claims, Parts, Sizes, settle, take_apart

_DTYPES = {"f2": torch.float16, "f4": torch.float32, "f8": torch.float64}
_INDEX = {"g": 0, "gs": 2}
_UNUSED = {"lod"}


@dataclass(frozen=True)
class Row:
    """Our name, the authors' shape, and the way from their values to ours."""

    ours: str
    shape: tuple[int, ...]
    convert: Callable[[Tensor], Tensor]


Table = dict[str, Row]


def read(request: dict[str, Any]) -> dict[str, Any]:
    """Checks the pickle `request["path"]`, writes generator `request["use"]` (g or gs) to `request["target"]`.

    Returns the sizes of the network. Called in the jail.
    """
    torch.set_num_threads(1)
    parts = take_apart(read_networks(Path(request["path"]))[_INDEX[request["use"]]])
    sizes = settle(parts)
    weights = convert(parts, sizes)
    try:
        save_file(weights, request["target"])
    except SafetensorError as err:
        raise ImportRefused("The weights cannot be written to the model folder; is the disk full?") from err
    return sizes.facts()


def convert(parts: Parts, sizes: Sizes) -> dict[str, Tensor]:
    """All tensors of a model folder's weights file.

    Raises:
        ImportRefused: a variable is missing, unknown, of another shape or not finite.
    """
    weights = {"synthesis.taps": torch.tensor(sizes.taps)}
    own = {"dlatent_avg": Row("mean", (sizes.w_dim,), _as_is)}
    for claims, table, unused in (
        (parts.own, own, _UNUSED),
        (parts.mapping, _mapping(sizes), set()),
        (parts.synthesis, _synthesis(sizes), set() if sizes.noise else _noises(sizes)),
    ):
        _check_shapes(claims, table, unused)
        weights |= {row.ours: _converted(name, claims[name], row) for name, row in table.items()}
    return weights


def _mapping(sizes: Sizes) -> Table:
    """Weights and biases times the learning-rate factor, and times the sqrt 2 behind the leaky ReLU."""
    widths = [sizes.z_dim * (2 if sizes.num_classes else 1), *[sizes.mapping_width] * (sizes.mapping_layers - 1),
              sizes.w_dim]  # fmt: skip
    table: Table = {}
    if sizes.num_classes:
        table["LabelConcat/weight"] = Row("mapping.label", (sizes.num_classes, sizes.z_dim), _as_is)
    gain = sizes.lrmul * math.sqrt(2)
    for n, (into, out) in enumerate(pairwise(widths)):
        table[f"Dense{n}/weight"] = Row(f"mapping.dense.{n}.weight", (into, out), _matrix(gain / math.sqrt(into)))
        table[f"Dense{n}/bias"] = Row(f"mapping.dense.{n}.bias", (out,), _scaled(gain))
    return table


def _synthesis(sizes: Sizes) -> Table:
    table: Table = {}
    widths, last = sizes.widths, len(sizes.widths) - 1
    table[f"{sizes.prefix}/Const/const"] = Row("synthesis.const", (1, widths[0], *sizes.base), _as_is)
    _styled(table, sizes, ("Conv", "conv"), 0, widths[0])
    if sizes.architecture == "skip" or last == 0:
        _image(table, sizes, 0)
    for k in range(1, last + 1):
        _styled(table, sizes, ("Conv0_up", "conv0"), k, widths[k - 1])
        _styled(table, sizes, ("Conv1", "conv1"), k, widths[k])
        if sizes.architecture == "skip" or k == last:
            _image(table, sizes, k)
        if sizes.architecture == "resnet":
            into, out = widths[k - 1], widths[k]
            name, factor = f"{sizes.scope(k)}/Skip/weight", 1 / math.sqrt(into)
            table[name] = Row(f"synthesis.blocks.{k - 1}.skip.weight", (1, 1, 1, into, out), _kernel(factor))
    return table


def _ours(k: int) -> str:
    return f"synthesis.blocks.{k - 1}" if k else "synthesis"


def _styled(table: Table, sizes: Sizes, names: tuple[str, str], k: int, into: int) -> None:
    """A modulated convolution of block k + 2, with noise and bias; the sqrt 2 of its activation goes into both."""
    theirs, ours, out = f"{sizes.scope(k)}/{names[0]}", f"{_ours(k)}.{names[1]}", sizes.widths[k]
    is_up, gain = names[0] == "Conv0_up", 1 / math.sqrt(27 * into)
    kernel = _upsampling_kernel(gain) if is_up else _kernel(gain)
    table[f"{theirs}/weight"] = Row(f"{ours}.weight", (3, 3, 3, into, out), kernel)
    _style(table, sizes, theirs, ours, into)
    table[f"{theirs}/bias"] = Row(f"{ours}.bias", (out,), _scaled(math.sqrt(2)))
    if sizes.noise:
        index = max(0, 2 * k - (1 if is_up else 0))
        table[f"noise{index}"] = Row(f"{ours}.noise", (1, 1, *sizes.edges(k)), _as_is)
        table[f"{theirs}/noise_strength"] = Row(f"{ours}.noise_strength", (), _scaled(math.sqrt(2)))


def _image(table: Table, sizes: Sizes, k: int) -> None:
    theirs, ours, into = f"{sizes.scope(k)}/ToRGB", f"{_ours(k)}.image", sizes.widths[k]
    gain = 1 / math.sqrt(into)
    table[f"{theirs}/weight"] = Row(f"{ours}.weight", (1, 1, 1, into, 1), lambda x: x.flatten() * gain)
    table[f"{theirs}/bias"] = Row(f"{ours}.bias", (1,), _as_is)
    _style(table, sizes, theirs, ours, into)


def _style(table: Table, sizes: Sizes, theirs: str, ours: str, into: int) -> None:
    gain = 1 / math.sqrt(sizes.w_dim)
    table[f"{theirs}/mod_weight"] = Row(f"{ours}.style.weight", (sizes.w_dim, into), _matrix(gain))
    table[f"{theirs}/mod_bias"] = Row(f"{ours}.style.bias", (into,), lambda x: x + 1)


def _noises(sizes: Sizes) -> set[str]:
    """Saved even where no layer reads them."""
    return {f"noise{index}" for index in range(sizes.num_styles - 1)}


def _as_is(values: Tensor) -> Tensor:
    return values


def _scaled(factor: float) -> Callable[[Tensor], Tensor]:
    return lambda values: values * factor


def _matrix(factor: float) -> Callable[[Tensor], Tensor]:
    """(in, out) -> (out, in)."""
    return lambda values: values.mT * factor


def _kernel(factor: float) -> Callable[[Tensor], Tensor]:
    """(k0, k1, k2, in, out) -> (out, in, k0, k1, k2)."""
    return lambda values: values.permute(4, 3, 0, 1, 2) * factor


def _upsampling_kernel(factor: float) -> Callable[[Tensor], Tensor]:
    """(k0, k1, k2, in, out) -> (in, out, k0, k1, k2) of a transposed convolution; the authors' is reversed on the first
    two axes and, by a slip that their networks were trained with, not on the third."""
    return lambda values: values.flip(0, 1).permute(3, 4, 0, 1, 2) * factor


def _check_shapes(claims: Claims, table: Table, unused: set[str]) -> None:
    missing = sorted(table.keys() - claims.keys())
    unknown = sorted(printable(name) for name in claims.keys() - table.keys() - unused)
    if missing or unknown:
        parts = [f"{word} {', '.join(names[:3])}" for word, names in (("lacks", missing), ("has besides", unknown))
                 if names]  # fmt: skip
        raise ImportRefused(f"The pickle file is not a 3D-StyleGAN of the authors: it {' and '.join(parts)}."[:400])
    for name, row in table.items():
        if claims[name].shape != row.shape or claims[name].code not in _DTYPES:
            got = f"{claims[name].code} {claims[name].shape}"
            raise ImportRefused(f"{name} in the pickle file should be f4 {row.shape} but is {got}.")


def _converted(name: str, claim: ArrayClaim, row: Row) -> Tensor:
    flat = torch.frombuffer(bytearray(claim.data), dtype=_DTYPES[claim.code])
    shaped = flat.reshape(claim.shape[::-1]).permute(*range(len(claim.shape) - 1, -1, -1)) if claim.is_fortran else flat
    tensor = row.convert(shaped.reshape(claim.shape).float()).contiguous()
    if not bool(torch.isfinite(tensor).all()):
        raise ImportRefused(f"The pickle file has values that are not finite in {name}.")
    return tensor
