"""The jailed half of the HA-GAN import: the authors' .pth files to weights.safetensors. Runs in the jail only.

What a network of the authors looks like is a table of its tensors; the tables also carry our names. Their width is
always 32 (a hard-coded view to 512 channels); the volume's size shows only in the encoder and the discriminator.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from model_store.importers.checkpoint import opened
from model_store.importers.claims import TensorClaim
from model_store.importers.jail import ImportRefused

_MAX_LATENT = 8192
Table = dict[str, tuple[str, tuple[int, ...]]]
"""The authors' tensor name -> (our tensor name, shape)."""
Claims = Mapping[str, TensorClaim]

_FIRST = {
    "generator": "fc1.weight",
    "encoder": "conv3.weight",
    "sub_encoder": "conv5.weight",
    "discriminator": "fc2.weight",
}
_OPTION = {"generator": "--generator", "encoder": "--encoder", "sub_encoder": "--sub-encoder",
           "discriminator": "--discriminator"}  # fmt: skip


def _layer(table: Table, theirs: tuple[str, str], ours: tuple[str, str], shape: tuple[int, ...]) -> None:
    """One convolution (or linear map) with bias, and its GroupNorm where there is one (a name that is not empty)."""
    table[f"{theirs[0]}.weight"] = f"{ours[0]}.weight", shape
    table[f"{theirs[0]}.bias"] = f"{ours[0]}.bias", shape[:1]
    if theirs[1]:
        table[f"{theirs[1]}.weight"] = f"{ours[1]}.weight", shape[:1]
        table[f"{theirs[1]}.bias"] = f"{ours[1]}.bias", shape[:1]


def generator_table(inputs: int) -> Table:
    """G: G^A goes to common, G^L (their sub_G) to low, G^H (their last two convolutions) to high. `inputs` is L + K."""
    table: Table = {}
    _layer(table, ("fc1", ""), ("generator.common.fc1", ""), (32768, inputs))
    channels = [512, 512, 512, 256, 128, 64, 32]
    for n in range(1, 7):
        ours = f"generator.common.{{}}{n}" if n < 6 else "generator.high.{}1"
        shape = (channels[n], channels[n - 1], 3, 3, 3)
        _layer(table, (f"tp_conv{n}", f"bn{n}"), (ours.format("conv"), ours.format("norm")), shape)
    _layer(table, ("tp_conv7", ""), ("generator.high.conv2", ""), (1, 32, 3, 3, 3))
    for n, (into, out) in enumerate([(64, 32), (32, 16)], start=1):
        ours = f"generator.low.{{}}{n}"
        names = (f"sub_G.tp_conv{n}", f"sub_G.bn{n}")
        _layer(table, names, (ours.format("conv"), ours.format("norm")), (out, into, 3, 3, 3))
    _layer(table, ("sub_G.tp_conv3", ""), ("generator.low.conv3", ""), (1, 16, 3, 3, 3))
    return table


def encoder_table() -> Table:
    """E^H, the same for both sizes."""
    table: Table = {}
    for n, shape in enumerate([(32, 1, 4, 4, 4), (32, 32, 3, 3, 3), (64, 32, 4, 4, 4)], start=1):
        _layer(table, (f"conv{n}", f"bn{n}"), (f"encoder.high.conv{n}", f"encoder.high.norm{n}"), shape)
    return table


def sub_encoder_table(size: int, latent_dim: int) -> Table:
    """E^G: at 256 one convolution more, at the front."""
    table: Table = {}
    channels = [64, 32, 64, 128, 256] if size == 256 else [64, 64, 64, 128, 256]
    for n in range(1 if size == 256 else 2, 5):
        shape = (channels[n], channels[n - 1], 4, 4, 4)
        _layer(table, (f"conv{n}", f"bn{n}"), (f"encoder.ground.conv{n}", f"encoder.ground.norm{n}"), shape)
    _layer(table, ("conv5", ""), ("encoder.ground.conv5", ""), (latent_dim, 256, 4, 4, 4))
    return table


def read(request: dict[str, Any]) -> dict[str, Any]:
    """Checks the .pth files of `request["files"]` (role -> path), writes the safetensors file `request["target"]`.

    Returns what the files say of themselves, see `inspect`. Called in the jail.
    """
    torch.set_num_threads(1)
    files = {role: Path(path) for role, path in request["files"].items()}
    weights: dict[str, torch.Tensor] = {}
    with ExitStack() as stack:
        checkpoints = {role: stack.enter_context(opened(path, _spoken(role))) for role, path in files.items()}
        facts = inspect({role: checkpoint.claims for role, checkpoint in checkpoints.items()})
        for role, table in _tables(facts).items():
            # E^G alone tells the sizes but cannot encode; it is left out.
            if role == "generator" or {"encoder", "sub_encoder"} <= files.keys():
                tensors = checkpoints[role].tensors(table)
                weights |= {table[name][0]: tensor.float() for name, tensor in tensors.items()}
    try:
        save_file(weights, request["target"])
    except SafetensorError as err:
        raise ImportRefused("The weights cannot be written to the model folder; is the disk full?") from err
    return facts


def inspect(claims: Mapping[str, Claims]) -> dict[str, Any]:
    """Checks names and shapes of every file and returns the sizes that they state.

    Keys, None where no file says it: "inputs" (L + K, from G), "latent_dim" (from Sub_E), "num_classes" (from D),
    "sub_encoder_size" and "discriminator_size" (128 or 256).
    """
    for role, found in claims.items():
        _check_role(role, found)
    facts: dict[str, Any] = {"inputs": _width(claims["generator"]["fc1.weight"], 1), "latent_dim": None,
                             "num_classes": None, "sub_encoder_size": None, "discriminator_size": None}  # fmt: skip
    if "sub_encoder" in claims:
        facts["latent_dim"] = _width(claims["sub_encoder"]["conv5.weight"], 0)
        facts["sub_encoder_size"] = _size(claims["sub_encoder"])
    if "discriminator" in claims:
        classes = claims["discriminator"].get("fc2_class.weight")
        facts["num_classes"] = _width(classes, 0) if classes else 0
        facts["discriminator_size"] = _size(claims["discriminator"])
    for role, table in _tables(facts).items():
        if role in claims:
            _check_shapes(role, claims[role], table)
    return facts


def _tables(facts: dict[str, Any]) -> dict[str, Table]:
    """The expected tensors of each network that is converted."""
    tables = {"generator": generator_table(facts["inputs"]), "encoder": encoder_table()}
    if facts["sub_encoder_size"]:
        tables["sub_encoder"] = sub_encoder_table(facts["sub_encoder_size"], facts["latent_dim"])
    return tables


def _spoken(role: str) -> str:
    return role.replace("_", "-")


def _width(claim: TensorClaim, axis: int) -> int:
    if len(claim.shape) <= axis or not 1 <= claim.shape[axis] <= _MAX_LATENT:
        raise ImportRefused(
            f"A layer that tells the latent size or the classes has the impossible shape {claim.shape}."
        )
    return claim.shape[axis]


def _size(claims: Claims) -> int:
    return 256 if "conv1.weight" in claims else 128


def _identity(claims: Claims) -> str:
    """Which of the authors' networks a set of weights is, by names that only it has."""
    if "conv7.weight" in claims or any(name.startswith("sub_D.") for name in claims):
        return "discriminator"
    if "fc1.weight" in claims and "tp_conv1.weight" in claims:
        return "generator"
    if "conv5.weight" in claims and "conv4.weight" in claims:
        return "sub_encoder"
    return "encoder" if "conv3.weight" in claims else ""


def _check_role(role: str, claims: Claims) -> None:
    """Raises ImportRefused where a file holds another network than it was given as."""
    identity = _identity(claims)
    if identity != role:
        hint = f"; it looks like the file for {_OPTION[identity]}" if identity else ""
        raise ImportRefused(f"The file given as {_OPTION[role]} is not a checkpoint of that HA-GAN network{hint}.")
    if _FIRST[role] not in claims:
        raise ImportRefused(f"The file given as {_OPTION[role]} lacks {_FIRST[role]}.")


def _check_shapes(role: str, claims: Claims, table: Table) -> None:
    missing, unknown = sorted(table.keys() - claims.keys()), sorted(claims.keys() - table.keys())
    if missing or unknown:
        parts = [
            f"{word} {', '.join(names[:3])}" for word, names in (("lacks", missing), ("has besides", unknown)) if names
        ]
        raise ImportRefused(f"The {_OPTION[role]} file is not the authors' network: it {' and '.join(parts)}."[:400])
    for name, (_, shape) in table.items():
        if claims[name].shape != shape or not claims[name].is_float:
            raise ImportRefused(f"{name} in the {_OPTION[role]} file should be float {shape} but is {claims[name]}.")
