"""Card + safetensors -> a model ready to serve. What is not exactly as the card says is broken, not repaired."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from model_store.card import WEIGHTS, ModelCard
from model_store.families.base import Served
from model_store.families.hagan import ServedHAGAN
from model_store.families.progan import ServedProGAN
from model_store.families.split_shuffle import ServedSplitShuffle
from model_store.families.stylegan import ServedStyleGAN
from model_store.families.stylegan3d import ServedStyleGAN3D
from model_store.generator import Generator
from model_store.integrity import BrokenModel, UnreadableModel, check_files

Precision = Literal["float32", "tf32", "bfloat16", "float16"]
"""tf32: float32 throughout, but CUDA's matrix units read 10 bits of each factor's mantissa."""
DTYPES: Mapping[Precision, torch.dtype] = {
    "float32": torch.float32,
    "tf32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
FAMILIES: Mapping[str, Callable[[ModelCard], Served]] = {
    "hagan": ServedHAGAN,
    "progan": ServedProGAN,
    "split-shuffle": ServedSplitShuffle,
    "stylegan": ServedStyleGAN,
    "stylegan3d": ServedStyleGAN3D,
}

_SHAPE_KEEPING = {Tensor.mul, Tensor.__mul__, Tensor.div, Tensor.__truediv__, Tensor.square, Tensor.flip}


def load(
    folder: Path,
    card: ModelCard,
    device: torch.device | str = "cpu",
    precision: Precision = "float32",
    low_memory: bool = False,
) -> Generator:
    """The model of `folder`, in eval mode on `device`, its weights converted to `precision` and frozen.

    With `low_memory` its family trades time for smaller activations.

    Raises:
        BrokenModel: one sentence on what is wrong with the folder.
    """
    model = _build(card, low_memory)
    check_files(folder, card)
    tensors = _read(folder / WEIGHTS, model, torch.device(device), DTYPES[precision])
    model.load_state_dict(tensors, strict=True, assign=True)
    model.requires_grad_(False).eval()
    model.settle()
    return model


def outline(card: ModelCard, precision: Precision = "float32", low_memory: bool = False) -> Served:
    """The model as `load` gives it but without values, to learn its sizes from the card alone.

    Raises:
        BrokenModel: the card's network cannot be built.
    """
    model = _build(card, low_memory)
    model.to(DTYPES[precision]).requires_grad_(False).eval()
    with torch.device("meta"), _ShapesAlone():
        model.settle()
    return model


class _ShapesAlone(TorchFunctionMode):
    """Tensors of the device "meta" have a shape and no values. For arithmetic on them and for random ones torch imports
    its compiler, a second and 75 MB in each worker; within this mode it is asked for neither."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is nn.init.normal_:
            return kwargs["tensor"]
        if func is torch.randn and not kwargs:
            return torch.empty(*args)
        if func in _SHAPE_KEEPING and args[0].is_meta and not any(isinstance(by, Tensor) for by in args[1:]):
            return torch.empty(args[0].shape, dtype=args[0].dtype)
        if func is Tensor.sum and not kwargs and args[0].is_meta and isinstance(args[-1], tuple):
            summed = {axis % args[0].ndim for axis in args[1]}
            shape = [size for axis, size in enumerate(args[0].shape) if axis not in summed]
            return torch.empty(shape, dtype=args[0].dtype)
        return func(*args, **kwargs)


def _build(card: ModelCard, low_memory: bool) -> Served:
    if card.family not in FAMILIES:
        raise BrokenModel("card.json is of a family that this version does not know")
    with torch.device("meta"), _ShapesAlone():  # no memory, and no time spent on random weights
        model = FAMILIES[card.family](card)
    model.low_memory = low_memory
    return model


def _read(path: Path, model: Served, device: torch.device, dtype: torch.dtype) -> dict[str, Tensor]:
    """The file's tensors by key, on the device, each copied out of the mapped file one at a time."""
    expected = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            _check_keys(set(file.keys()), set(expected))
        tensors = {}
        for key, shape in expected.items():
            # Mapped anew for each tensor: pages of the file that were read count as resident until it is unmapped.
            with safe_open(path, framework="pt", device="cpu") as file:
                tensors[key] = _convert(key, file.get_tensor(key), shape, device, dtype)
        return tensors
    except OSError as err:
        raise UnreadableModel(f"{WEIGHTS} cannot be read") from err
    except SafetensorError as err:
        raise BrokenModel(f"{WEIGHTS} is not a sound safetensors file") from err


def _check_keys(found: set[str], expected: set[str]) -> None:
    missing, extra = sorted(expected - found), sorted(found - expected)
    if missing:
        raise BrokenModel(f"{WEIGHTS} lacks {len(missing)} tensors, first {missing[0]}")
    if extra:
        raise BrokenModel(f"{WEIGHTS} has {len(extra)} tensors that the network does not know")


def _convert(key: str, stored: Tensor, shape: tuple[int, ...], device: torch.device, dtype: torch.dtype) -> Tensor:
    if tuple(stored.shape) != shape:
        raise BrokenModel(f"{WEIGHTS}: {key} has shape {tuple(stored.shape)}, the card's network needs {shape}")
    if stored.dtype not in DTYPES.values():
        raise BrokenModel(f"{WEIGHTS}: {key} is not of a float type that the project writes")
    # A copy even where nothing changes: a mapped page would fault if the file were cut under a running worker.
    converted = stored.to(device, dtype, copy=True)
    if not bool(torch.isfinite(converted).all()):
        raise BrokenModel(f"{WEIGHTS}: {key} has values that are not finite")
    return converted
