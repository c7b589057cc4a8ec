"""The one set of weights that is meant in a checkpoint, by the names that its network gives them."""

from collections.abc import Mapping, Sequence
from typing import Any

from model_store.importers.claims import TensorClaim
from model_store.importers.jail import ImportRefused

_AVERAGED = ("ema", "ema_state_dict", "model_ema", "g_ema", "G_ema")
"""What the moving average of the weights is called in a dictionary of more. It is what a generator's samples come from,
so it goes before the weights that it averages."""
_WEIGHTS = ("model", "state_dict", "model_state_dict", "shadow")
"""What the weights are called in a dictionary of more."""
_WRAPPERS = ("module.", "_orig_mod.")
"""What DataParallel and torch.compile put before names; the latter also within them."""
_COUNTER = "n_averaged"
"""What torch's AveragedModel keeps beside its `module.`"""
_PARTS: Mapping[str, Sequence[str]] = {
    "generator": ("generator_ema", "G_ema", "ema_generator", "generator", "netG", "net_G", "gen", "G", "model", "net"),
    "encoder": ("encoder", "netE", "E"),
    "sub-encoder": ("sub_encoder", "Sub_E", "sub_E"),
    "discriminator": ("discriminator", "netD", "net_D", "D"),
}
"""By role, what the attribute of a larger module is called that holds its network, as in a checkpoint of Lightning."""
_MOST_WRAPPED = 4
Named = tuple[str, str, TensorClaim]
"""Plain name, name in the file, claim."""


def unwrapped(top: Any, role: str) -> dict[str, tuple[str, TensorClaim]]:
    """Plain name -> (name in the file, claim) of the one set of weights in a checkpoint.

    Takes the authors' {"model": state, "optimizer": ...}, the other names of _WEIGHTS and _AVERAGED, one within
    another, and a bare state dict; names as DataParallel, torch.compile, AveragedModel and Lightning write them.

    Raises:
        ImportRefused: there is none, or which one is meant is unclear.
    """
    state = _innermost(top, role)
    named = [(_plain(str(name)), str(name), claim) for name, claim in dict.items(state)]
    others = [entry for entry in named if entry[0] != _COUNTER]
    if others and all(name.startswith(_WRAPPERS[0]) for name, _, _ in others):
        named = others
    named = _without_wrappers(named, role)
    part = _part(named, role)
    if part:
        within = [(name.removeprefix(part), stored, claim) for name, stored, claim in named if name.startswith(part)]
        named = _without_wrappers(within, role)
    plain = {name: (stored, claim) for name, stored, claim in named}
    if len(plain) != len(named):
        raise ImportRefused(f"The {role} file has weights whose names differ by a wrapper's prefix alone.")
    return plain


def _without_wrappers(named: Sequence[Named], role: str) -> list[Named]:
    for prefix in _WRAPPERS * _MOST_WRAPPED:
        prefixed = [name for name, _, _ in named if name.startswith(prefix)]
        if prefixed and len(prefixed) != len(named):
            raise ImportRefused(
                f"The {role} file has weights with and without the prefix '{prefix}'; which to take is unclear."
            )
        named = [(name.removeprefix(prefix), stored, claim) for name, stored, claim in named]
    return list(named)


def _part(named: Sequence[Named], role: str) -> str:
    """The prefix of the role's own weights in a larger module's; "" where there is none."""
    prefixes = (f"{part}." for part in _PARTS.get(role, ()))
    return next((prefix for prefix in prefixes if any(name.startswith(prefix) for name, _, _ in named)), "")


def _plain(name: str) -> str:
    """Without what torch.compile puts into the names of parts that were compiled alone."""
    return name.replace("._orig_mod.", ".")


def _innermost(top: Any, role: str) -> dict[str, Any]:
    """The dictionary of weights, which others may hold under one of the usual names."""
    for _ in range(_MOST_WRAPPED):
        if not isinstance(top, dict) or not top:
            raise ImportRefused(f"The {role} file holds no dictionary of weights.")
        if all(map(_is_tensor, dict.values(top))) and not any(name in top for name in _WEIGHTS):
            return top
        within = [name for name in (*_AVERAGED, *_WEIGHTS) if isinstance(dict.get(top, name), dict)]
        if within and any(map(_is_tensor, dict.values(top))):
            raise ImportRefused(
                f"The {role} file has weights both under '{within[0]}' and beside it; which to take is unclear."
            )
        if len(within) > 1 and within[0] not in _AVERAGED:
            raise ImportRefused(f"The {role} file has weights under {' and '.join(within)}; which to take is unclear.")
        if not within:
            break
        top = dict.get(top, within[0])
    raise ImportRefused(
        f"The {role} file has no 'model' entry with weights, nor one of another usual name, and is not a bare set of "
        "weights either."
    )


def _is_tensor(value: object) -> bool:
    return isinstance(value, TensorClaim)
