"""A measuring process of the study of memory: one thing asked as JSON, one answer as JSON, and it ends.

What a process ever held cannot be asked of one that has held something else before.
"""

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any, cast

from model_store.card import ModelCard
from model_store.catalogue import Catalogue
from model_store.load import load
from training.engine.export import export_tensors
from training.estimates.memory import count
from training.hagan.config import HAGANConfig
from training.hagan.trainer import FAMILY, HAGANTrainer
from workers.device.memory import measured_peak_bytes

STATUS = Path("/proc/self/status")
ITERATIONS = 2
"""The first one makes Adam's moments."""


def trainer_of(slabs: int, settings: dict[str, Any]) -> HAGANTrainer:
    """At its random start, of a volume that is cut into `slabs` sub-volumes."""
    trainer = HAGANTrainer(HAGANConfig(data=Path(), out=Path(), modality="CT", **settings))
    trainer.generator.slabs = trainer.encoder.slabs = trainer.discriminator.high.slabs = slabs
    return trainer


def counted(slabs: int, settings: dict[str, Any]) -> dict[str, int]:
    """Parameters, and the bytes of an iteration's tensors at its height; the tensors have no values."""
    trainer = trainer_of(slabs, settings)
    parameters = sum(weight.numel() for weight in trainer.networks.parameters())
    return {"parameters": parameters, "counted_bytes": count(trainer, FAMILY, may_have_values=False).peak}


def answer(what: str, out: str, slabs: int, settings: dict[str, Any]) -> dict[str, Any]:
    """`what`: train a HA-GAN of the settings; write one as it begins; generate by that which was written."""
    folder = Path(out) / "model"
    if what == "generate":
        return generated(folder, settings["device"])
    trainer = trainer_of(slabs, settings)
    if what == "train":
        return trained(trainer)
    card = FAMILY.card(trainer, 0).model_copy(update={"name": folder.name})
    export_tensors(folder, card, FAMILY.tensors(trainer))
    return {}


def trained(trainer: HAGANTrainer) -> dict[str, Any]:
    """A few iterations on blank volumes."""
    seconds = 0.0
    for iteration in range(ITERATIONS):
        batch = FAMILY.example(trainer, iteration)
        begun = time.perf_counter()
        float(trainer.step(batch[0], None)["generator"])  # a number is known once the device is done
        seconds = time.perf_counter() - begun
    return {"peak_bytes": most_held(next(trainer.networks.parameters()).device), "seconds": seconds}


def generated(folder: Path, device: str) -> dict[str, Any]:
    """One volume, float32, by a model that is loaded for it."""
    model = load(folder, cast("ModelCard", Catalogue([folder.parent]).card(folder.name)), device)
    begun = time.perf_counter()
    float(model.synthesise(model.mean_style()[None]).sum())
    seconds = time.perf_counter() - begun
    parameters = sum(weight.numel() for weight in cast("Any", model).parameters())
    return {"peak_bytes": most_held(cast("Any", model).device), "seconds": seconds, "parameters": parameters}


def most_held(device: Any) -> int:
    """Bytes at the height: on CUDA of the device, else resident."""
    return resident_peak() if device.type == "cpu" else measured_peak_bytes(device)


def resident_peak() -> int:
    """By the process's own record where the system keeps one: what getrusage tells begins with what the parent held."""
    if STATUS.is_file():
        return next(int(row.split()[1]) * 1024 for row in STATUS.read_text().splitlines() if row.startswith("VmHWM"))
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    # Of CUDA's memory the libraries hold none before there are networks.
    before = resident_peak() if asked["settings"]["device"] == "cpu" else 0
    sys.stdout.write(json.dumps({"began_bytes": before} | answer(**asked)) + "\n")
