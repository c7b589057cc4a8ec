"""The jailed half of the MEGAN import: NETG_best.pth of each level to weights.safetensors. Runs in the jail only.

A file is a bare set of weights of one `model.` sequence and says nothing else: width, blocks and the way in are read
from names and shapes, the level from the order in which the files were given.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from model_store.importers.checkpoint import read_claims, read_tensors
from model_store.importers.claims import TensorClaim
from model_store.importers.jail import ImportRefused
from model_store.importers.megan import spoken

_MAX_WIDTH, _MAX_BLOCKS = 1024, 64
Table = dict[str, tuple[str, tuple[int, ...]]]
"""The authors' tensor name -> (our tensor name, shape)."""
Claims = Mapping[str, TensorClaim]


def read(request: dict[str, Any]) -> dict[str, Any]:
    """Checks the files of `request["files"]`, LR first, and writes the safetensors file `request["target"]`.

    Returns {"levels": [{"width", "blocks", "edges_at_twice"}, ...]}; the last is None but for LR. Called in the jail.
    """
    torch.set_num_threads(1)
    files = [Path(path) for path in request["files"]]
    claims = [read_claims(path, spoken(level)) for level, path in enumerate(files)]
    levels = [sizes_of(found, level) for level, found in enumerate(claims)]
    weights: dict[str, torch.Tensor] = {}
    for level, (path, sizes) in enumerate(zip(files, levels, strict=True)):
        table = layers(**sizes)
        tensors = read_tensors(path, spoken(level), table)
        weights |= {f"cascade.levels.{level}.{table[name][0]}": tensor.float() for name, tensor in tensors.items()}
    try:
        save_file(weights, request["target"])
    except SafetensorError as err:
        raise ImportRefused("The weights cannot be written to the model folder; is the disk full?") from err
    return {"levels": levels}


def sizes_of(claims: Claims, level: int) -> dict[str, Any]:
    """Sizes that the file of a level states, every tensor's name and shape checked.

    Raises:
        ImportRefused: another network than this level's, or none of the authors'.
    """
    role = spoken(level)
    if any(name.startswith(("T_tensor", "fc")) for name in claims):
        raise _is_discriminator(role)
    first, last = claims.get("model.0.weight"), _last(claims)
    if first is None or len(first.shape) != 5 or not 1 <= first.shape[0] <= _MAX_WIDTH:
        raise ImportRefused(f"The {role} file is not a MEGAN generator: it has no first convolution.")
    if first.shape[2:] == (4, 4, 4):
        raise _is_discriminator(role)
    if last is None or last[1:] != (first.shape[0], 7, 7, 7):
        raise ImportRefused(f"The {role} file is not a MEGAN generator: it does not end in a 7x7x7 convolution.")
    _check_inputs(first.shape[1], level)
    blocks = sum(name.endswith(".conv_block.0.weight") for name in claims)
    if not 1 <= blocks <= _MAX_BLOCKS:
        raise ImportRefused(
            f"The {role} file has no residual blocks, as the U-Net that the authors' scripts never use."
        )
    edges_at_twice = None if level else _is_halved(claims)
    _check_shapes(role, claims, layers(first.shape[0], blocks, edges_at_twice))
    return {"width": first.shape[0], "blocks": blocks, "edges_at_twice": edges_at_twice}


def layers(width: int, blocks: int, edges_at_twice: bool | None) -> Table:
    """Of one network: LR, with or without the halving that edges at twice the size need, or HR (None)."""
    table: Table = {}
    inputs = 2 if edges_at_twice is None else 1
    _stage(table, 0, "enter", (width, inputs, 3, 3, 3))
    index, into = 3, width
    outs = [*([width] if edges_at_twice else []), 2 * width, 4 * width]
    for n, out in enumerate(outs):
        _stage(table, index, f"down.{n}", (out, into, 4, 4, 4))
        index, into = index + 3, out
    for n in range(blocks):
        shape = (into, into, 3, 3, 3)
        # Index 3 of a block is its dropout, which has no weights.
        _layer(table, f"model.{index}.conv_block.0", f"model.{index}.conv_block.1", f"blocks.{n}.first", shape)
        _layer(table, f"model.{index}.conv_block.4", f"model.{index}.conv_block.5", f"blocks.{n}.second", shape)
        index += 1
    for n, out in enumerate((2 * width, width)):
        _stage(table, index, f"up.{n}", (into, out, 4, 4, 4), out)
        index, into = index + 3, out
    table[f"model.{index}.weight"] = "leave.weight", (1, width, 7, 7, 7)
    table[f"model.{index}.bias"] = "leave.bias", (1,)
    return table


def _stage(table: Table, index: int, ours: str, shape: tuple[int, ...], out: int | None = None) -> None:
    _layer(table, f"model.{index}", f"model.{index + 1}", ours, shape, out)


def _layer(table: Table, conv: str, norm: str, ours: str, shape: tuple[int, ...], out: int | None = None) -> None:
    """A convolution with bias and its norm; `out` channels where they are not the shape's first (transposed)."""
    channels = (out or shape[0],)
    table[f"{conv}.weight"], table[f"{conv}.bias"] = (f"{ours}.conv.weight", shape), (f"{ours}.conv.bias", channels)
    table[f"{norm}.weight"], table[f"{norm}.bias"] = (f"{ours}.norm.weight", channels), (f"{ours}.norm.bias", channels)


def _last(claims: Claims) -> tuple[int, ...] | None:
    """Shape of the last convolution's weight."""
    numbers = [int(found[1]) for name in claims if (found := re.fullmatch(r"model\.(\d{1,4})\.weight", name))]
    return claims[f"model.{max(numbers)}.weight"].shape if numbers else None


def _is_halved(claims: Claims) -> bool:
    """Edges at twice the size: the first of the 4^3 convolutions keeps the width."""
    second, first = claims.get("model.3.weight"), claims["model.0.weight"]
    return second is not None and second.shape[:1] == first.shape[:1]


def _check_inputs(inputs: int, level: int) -> None:
    """LR reads the edges alone, HR a coarser patch beside them."""
    if inputs == (1 if level == 0 else 2):
        return
    other = {1: "a low-resolution network, which goes with --lr", 2: "a high-resolution network, which goes with --hr"}
    told = f"; it is {other[inputs]}" if inputs in other else ""
    raise ImportRefused(f"The {spoken(level)} file is not the network of that level{told}.")


def _is_discriminator(role: str) -> ImportRefused:
    return ImportRefused(
        f"The {role} file is not a generator but a discriminator (NETD), which translates nothing; give NETG_best.pth."
    )


def _check_shapes(role: str, claims: Claims, table: Table) -> None:
    missing, unknown = sorted(table.keys() - claims.keys()), sorted(claims.keys() - table.keys())
    if missing or unknown:
        parts = [
            f"{word} {', '.join(names[:3])}" for word, names in (("lacks", missing), ("has besides", unknown)) if names
        ]
        raise ImportRefused(f"The {role} file is not the authors' network: it {' and '.join(parts)}."[:400])
    for name, (_, shape) in table.items():
        if claims[name].shape != shape or not claims[name].is_float:
            raise ImportRefused(f"{name} in the {role} file should be float {shape} but is {claims[name]}.")
