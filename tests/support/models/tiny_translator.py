"""A translator of one layer, for tests of what holds for every model that is no generator: y = tanh(a x + b)."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

from model_store.card import WEIGHTS, AnyCard, IntensitySpec, Provenance, Task, TranslatorCard
from model_store.families.base import ServedTranslator
from model_store.load import SERVED
from model_store.loaded_model import Shape
from model_store.sizes.base import Count, FamilySizes
from model_store.sizes.table import FAMILIES
from model_store.translator import Drawing, Guide, Pass, Slab
from tests.support.models.tiny_models import write_card


class OneLayerSizes(FamilySizes):
    family: ClassVar[str] = "one-layer"
    card: ClassVar[type[AnyCard]] = TranslatorCard

    planes: Count = 3
    """That are worked on at once."""

    def fault(self, card: AnyCard) -> str | None:
        return None if isinstance(card, TranslatorCard) else "this family translates"


class ServedOneLayer(ServedTranslator):
    sizes = OneLayerSizes

    def __init__(self, card: TranslatorCard) -> None:
        super().__init__(card)
        self.planes = OneLayerSizes.of(card).planes
        self.layer = nn.Linear(1, 1)

    def work_bytes(self, task: Task, shape: Shape) -> int:  # noqa: ARG002 -- it has one
        return 3 * 4 * shape[0] * shape[1] * self.planes

    @property
    def drawing(self) -> Drawing:
        return Drawing(lr_size=64, doublings=0, sigma=1.0, low=0.1, high=0.2)

    def translate(self, guide: Guide) -> Iterator[Pass | Slab]:
        drawn = guide.drawn[None, None].to(self.device, self.dtype) / 127.5 - 1
        drawn = F.interpolate(drawn, size=guide.shape)[0, 0]
        for start in range(0, guide.shape[0], self.planes):
            yield Pass(0, 0, guide.shape, start, guide.shape[0])
            part = drawn[start : start + self.planes]
            yield Slab(start, torch.tanh(self.layer(part[..., None]))[..., 0].float().cpu())


def register(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes it one of the families for the time of a test."""
    monkeypatch.setitem(FAMILIES, OneLayerSizes.family, OneLayerSizes)  # type: ignore[arg-type]
    monkeypatch.setitem(SERVED, OneLayerSizes.family, ServedOneLayer)  # type: ignore[arg-type]


def write_translator(folder: Path, name: str = "tiny-translator") -> TranslatorCard:
    """Writes `folder / name` with card.json and the weights a = 2, b = -1."""
    target = folder / name
    target.mkdir(parents=True)
    save_file({"layer.weight": torch.full((1, 1), 2.0), "layer.bias": torch.full((1,), -1.0)}, target / WEIGHTS)
    card = TranslatorCard(
        name=name,
        family=OneLayerSizes.family,
        title="A tiny translator for tests",
        modality="MR",
        axes="RAS",
        intensity=IntensitySpec(low=0.0, high=1000.0, units="a.u."),
        source_domains=["T2-weighted MR"],
        target_domain="T1-weighted MR",
        provenance=Provenance(origin="trained", notes="two numbers"),
        files={WEIGHTS: ""},
    )
    return write_card(target, card)
