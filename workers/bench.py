"""Bench: the device, its arithmetic, and the models that stay on it (least recently used out, counted in bytes)."""

import gc
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

import torch

from contract.errors import GpuOutOfMemory, ModelBroken, OutOfMemory, UnknownModel, VerbNotSupported
from contract.requests import AnyRequest
from latents.sample import gaussian
from model_store.card import AnyCard, ModelCard
from model_store.catalogue import Catalogue, NoSuchFolder
from model_store.families.base import ServedGenerator, ServedTranslator
from model_store.faults import FolderFault, UnreadableModel
from model_store.generator import Generator
from model_store.load import Precision, load, settle_float32
from model_store.loaded_model import LoadedModel, Shape
from model_store.translator import Translator
from workers.device.allocator import return_freed_memory
from workers.device.cuda import device_count
from workers.device.memory import limit_bytes, peak_bytes, require, resampling_bytes

T = TypeVar("T")


class Bench:
    """One device and the models resident on it. Serves one job at a time."""

    def __init__(
        self,
        catalogue: Catalogue,
        device: str = "cpu",
        precision: Precision = "float32",
        threads: int = 0,
        memory_bytes: int = 8 * 2**30,
        low_memory: bool = False,
        limit_bytes: int = 0,
    ) -> None:
        """`threads` 0 leaves torch's own choice; `limit_bytes` 0 leaves the container's limit or the machine's.

        Raises:
            ValueError: an arithmetic that the CPU does not have, or a device that this machine lacks.
        """
        self.catalogue = catalogue
        self.device = torch.device(device)
        self.precision: Precision = precision
        self.memory_bytes = memory_bytes
        self.low_memory, self.limit_bytes = low_memory, limit_bytes
        self.loads = 0
        """How often weights were read; stays put while jobs for resident models come in."""
        self.faults: dict[str, dict[str, str]] = {}
        """Models that could not be loaded: `card`, the fingerprint of what was tried, and `reason`."""
        self._resident: OrderedDict[str, LoadedModel] = OrderedDict()
        if precision in ("float16", "tf32") and self.device.type == "cpu":
            raise ValueError(f"{precision} needs a CUDA device; take bfloat16 or float32 on the CPU")
        if self.device.type == "cuda":
            _take(self.device)
        _make_repeatable(threads)
        settle_float32(precision)

    def card(self, name: str) -> AnyCard:
        """Raises: UnknownModel, ModelBroken."""
        try:
            return self.catalogue.card(name)
        except NoSuchFolder as err:
            raise UnknownModel("There is no model of that name.") from err
        except FolderFault as err:
            raise ModelBroken(_sentence(err.detail)) from err

    def generator(self, name: str) -> Generator:
        """As `model`. Raises: VerbNotSupported, where it is none."""
        model = self.model(name)
        if not isinstance(model, ServedGenerator):
            raise VerbNotSupported("generate", model.card.verbs)
        return model

    def translator(self, name: str) -> Translator:
        """As `model`. Raises: VerbNotSupported, where it is none."""
        model = self.model(name)
        if not isinstance(model, ServedTranslator):
            raise VerbNotSupported("translate", model.card.verbs)
        return model

    def model(self, name: str) -> LoadedModel:
        """The model, resident from now on; loading it may put out those used least recently.

        Raises:
            UnknownModel: no such folder.
            ModelBroken: the folder is broken; the catalogue lists it as such from now on.
            GpuOutOfMemory, OutOfMemory: as `attempt`.
        """
        card = self.card(name)
        kept = self._resident.get(name)
        if kept is not None and kept.card == card:
            self._resident.move_to_end(name)
            return kept
        self._resident.pop(name, None)  # its folder changed
        try:
            with self.catalogue.files(name) as folder:
                loaded = self.attempt(lambda: load(folder, card, self.device, self.precision, self.low_memory))
        except UnreadableModel as err:
            raise ModelBroken(_sentence(err.detail)) from err
        except FolderFault as err:
            self.faults[name] = {"card": card.fingerprint, "reason": err.detail}
            self.catalogue.note_broken(name, err.detail)
            raise ModelBroken(_sentence(err.detail)) from err
        self.loads += 1
        if self.device.type == "cpu":
            return_freed_memory()  # of the steps between file and network
        self.faults.pop(name, None)
        self._resident[name] = loaded
        self._make_room()
        return loaded

    def require_memory(self, request: AnyRequest, scan_shape: Shape | None = None) -> None:
        """Before a job starts: that its peak fits into what this worker may use; other models make room for it.

        `scan_shape`: (A0, A1, A2) of the volume that a translator is to make; generators make their cards'.

        Raises:
            MemoryLimit: it does not fit, with the figures.
            UnknownModel, ModelBroken: as `card`.
        """
        card = self.card(request.model)
        tasks = request.tasks(has_encoder=isinstance(card, ModelCard) and card.has_encoder)
        if not tasks or (scan_shape is None and not isinstance(card, ModelCard)):  # whose recipe asks for a scan
            return
        try:
            peak = peak_bytes(card, tasks, self.precision, self.low_memory, self.device, scan_shape)
            peak += resampling_bytes(card, request.output, self.device, scan_shape)
        except FolderFault as err:
            raise ModelBroken(_sentence(err.detail)) from err
        limit = limit_bytes(self.device, self.limit_bytes)
        require(peak, limit)
        if peak + sum(size for name, size in self.resident().items() if name != card.name) > limit:
            self.release(keep=card.name)

    def warm_up(self, name: str) -> None:
        """Loads a model and, of a generator, renders one volume, so that the first job pays for neither.

        Raises:
            UnknownModel, ModelBroken: as `model`.
            ModelBroken: the volume is not finite.
            GpuOutOfMemory, OutOfMemory: as `attempt`.
        """
        generator = self.model(name)
        if not isinstance(generator, ServedGenerator):  # what a translator runs on is only there with a scan
            return
        z = gaussian(0, generator.card.latent.z_dim)[None]
        label = 0 if generator.card.classes else None
        with torch.inference_mode():
            volume = self.attempt(lambda: generator.synthesise(generator.map(z, label)), keep=name)
        if not bool(torch.isfinite(volume).all()):
            raise ModelBroken("The model gives values that are not finite in this precision.")

    def resident(self) -> dict[str, int]:
        """Names of the models in memory with their bytes, least recently used first."""
        return {name: model.size_bytes for name, model in self._resident.items()}

    def release(self, keep: str | None = None) -> None:
        """Puts out every model but `keep` and gives the memory back to the device: what to do when it ran out."""
        for name in [name for name in self._resident if name != keep]:
            del self._resident[name]
        _return_memory(self.device)

    def attempt(self, step: Callable[[], T], keep: str | None = None) -> T:
        """The step's result; where the device's memory runs out, once more after putting out all models but `keep`.

        A step makes one volume, so that nothing smaller could be tried: `low_memory` would round differently, and a
        seed's bytes would depend on who else was using the device.

        Raises:
            GpuOutOfMemory, OutOfMemory: not even then.
        """
        try:
            return step()
        except RuntimeError as err:
            if not _is_out_of_memory(err):
                raise
        # Out of the except block: its traceback held the step's tensors.
        self.release(keep)
        try:
            return step()
        except RuntimeError as err:
            if not _is_out_of_memory(err):
                raise
            is_the_devices = isinstance(err, torch.OutOfMemoryError)
        self.release()
        if is_the_devices:
            raise GpuOutOfMemory("The device has too little memory for one volume of this model.")
        raise OutOfMemory("The worker has too little memory for one volume of this model.")

    def _make_room(self) -> None:
        dropped = False
        while len(self._resident) > 1 and sum(self.resident().values()) > self.memory_bytes:
            self._resident.popitem(last=False)
            dropped = True
        if dropped:
            _return_memory(self.device)


def _take(device: torch.device) -> None:
    """Makes a CUDA device this process's own: what names none (events, streams, pinned memory) means it from now on,
    and no context is opened on another."""
    index, count = device.index or 0, device_count()
    if count == 0:
        raise ValueError("there is no CUDA device on this machine; take --device cpu")
    if index >= count:
        raise ValueError(f"there is no {device} on this machine; CUDA devices that torch sees: {count}")
    torch.cuda.set_device(index)


def _make_repeatable(threads: int) -> None:
    """The same seed must give the same bytes: fixed algorithms."""
    if threads:
        torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True


def _is_out_of_memory(err: RuntimeError) -> bool:
    """torch gives the CPU's allocator no class of its own."""
    return isinstance(err, torch.OutOfMemoryError) or "can't allocate memory" in str(err)


def _return_memory(device: torch.device) -> None:
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    else:
        return_freed_memory()


def _sentence(detail: str) -> str:
    return f"The model cannot be used: {detail}."
