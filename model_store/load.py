"""Card + safetensors -> a model ready to serve. What is not exactly as the card says is broken, not repaired."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, overload

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from model_store.card import REFERENCE, WEIGHTS, AnyCard, ModelCard, TranslatorCard
from model_store.families.base import Served, ServedGenerator
from model_store.families.hagan import ServedHAGAN
from model_store.families.megan import ServedMEGAN
from model_store.families.onnx import ServedONNX
from model_store.families.progan import ServedProGAN
from model_store.families.split_shuffle import ServedSplitShuffle
from model_store.families.stylegan import ServedStyleGAN
from model_store.families.stylegan3d import ServedStyleGAN3D
from model_store.faults import FolderFault, UnreadableModel
from model_store.features import reference
from model_store.generator import Generator
from model_store.integrity import check_files, check_tensors
from model_store.loaded_model import LoadedModel
from model_store.sizes.table import sizes_of
from model_store.translator import Translator

Precision = Literal["float32", "tf32", "bfloat16", "float16"]
"""tf32: float32 throughout, but CUDA's matrix units read 10 bits of each factor's mantissa."""
DTYPES: Mapping[Precision, torch.dtype] = {
    "float32": torch.float32,
    "tf32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
_SERVED: tuple[type[Served], ...] = (
    ServedHAGAN,
    ServedMEGAN,
    ServedONNX,
    ServedProGAN,
    ServedSplitShuffle,
    ServedStyleGAN,
    ServedStyleGAN3D,
)
SERVED: Mapping[str, type[Served]] = {served.sizes.family: served for served in _SERVED}
"""What builds a family's models; `sizes/table.py` has the same families without torch."""

_SHAPE_KEEPING = {Tensor.mul, Tensor.__mul__, Tensor.div, Tensor.__truediv__, Tensor.square, Tensor.flip}


@overload
def load(
    folder: Path,
    card: ModelCard,
    device: torch.device | str = "cpu",
    precision: Precision = "float32",
    low_memory: bool = False,
) -> Generator: ...
@overload
def load(
    folder: Path,
    card: TranslatorCard,
    device: torch.device | str = "cpu",
    precision: Precision = "float32",
    low_memory: bool = False,
) -> Translator: ...
@overload
def load(
    folder: Path,
    card: AnyCard,
    device: torch.device | str = "cpu",
    precision: Precision = "float32",
    low_memory: bool = False,
) -> LoadedModel: ...
def load(
    folder: Path,
    card: AnyCard,
    device: torch.device | str = "cpu",
    precision: Precision = "float32",
    low_memory: bool = False,
) -> LoadedModel:
    """The model of `folder`, in eval mode on `device`, its weights converted to `precision` and frozen.

    With `low_memory` its family trades time for smaller activations.

    Raises:
        FolderFault: one sentence on what is wrong with the folder.
    """
    model = _build(card, low_memory)
    check_files(folder, card)
    tensors = _read(folder / WEIGHTS, model, torch.device(device), DTYPES[precision])
    model.load_state_dict(tensors, strict=True, assign=True)
    model.requires_grad_(False).eval()
    model.settle()
    if isinstance(model, ServedGenerator) and model.card.has_reference:
        model.reference = reference.read(folder / REFERENCE, model.card)
    return model


def settle_float32(precision: str) -> None:
    """On CUDA, for the whole process: float32 means float32, unless it is tf32 that is asked for."""
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"


def emulates_bfloat16(device: str) -> bool:
    """Whether `device` ("cpu", "cuda:0") computes bfloat16 by way of float32, many times as slowly.

    On a processor with AVX2 alone a 3^3 convolution of 64 to 32 channels at 64^3, forward and backward, took 1.6 s of
    one core in float32 and 173 s in bfloat16.
    """
    if device.startswith("cuda"):
        return not torch.cuda.is_bf16_supported(including_emulation=False)
    features = torch.cpu.get_capabilities()
    return not any(features.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def outline(card: AnyCard, precision: Precision = "float32", low_memory: bool = False) -> Served:
    """The model as `load` gives it but without values, to learn its sizes from the card alone.

    Raises:
        FolderFault: the card's network cannot be built.
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


def _build(card: AnyCard, low_memory: bool) -> Served:
    sizes_of(card)
    with torch.device("meta"), _ShapesAlone():  # no memory, and no time spent on random weights
        model = SERVED[card.family](card)
    model.low_memory = low_memory
    return model


def _read(path: Path, model: Served, device: torch.device, dtype: torch.dtype) -> dict[str, Tensor]:
    """The file's tensors by key, on the device, each copied out of the mapped file one at a time."""
    expected = model.state_dict()
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            found = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
        check_tensors(found, {key: tuple(outlined.shape) for key, outlined in expected.items()})
        tensors = {}
        for key, outlined in expected.items():
            # Mapped anew for each tensor: pages of the file that were read count as resident until it is unmapped.
            with safe_open(path, framework="pt", device="cpu") as file:
                tensors[key] = _convert(key, file.get_tensor(key), outlined, device, dtype)
        return tensors
    except OSError as err:
        raise UnreadableModel(f"{WEIGHTS} cannot be read") from err
    except SafetensorError as err:
        raise FolderFault(f"{WEIGHTS} is not a sound safetensors file") from err


def _convert(key: str, stored: Tensor, outlined: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    if stored.dtype == outlined.dtype == torch.uint8:  # a file within the file
        return stored.to(device, copy=True)
    if stored.dtype not in DTYPES.values():
        raise FolderFault(f"{WEIGHTS}: {key} is not of a float type that the project writes")
    # A copy even where nothing changes: a mapped page would fault if the file were cut under a running worker.
    converted = stored.to(device, dtype, copy=True)
    if not bool(torch.isfinite(converted).all()):
        raise FolderFault(f"{WEIGHTS}: {key} has values that are not finite")
    return converted
