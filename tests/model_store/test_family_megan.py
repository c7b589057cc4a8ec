"""MEGAN as it is served: what it needs of memory, other precisions, shapes that it cannot make."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from model_store.card import TranslatorCard
from model_store.catalogue import Catalogue
from model_store.families.megan import ServedMEGAN
from model_store.load import Precision, load, outline
from model_store.networks.cascade import Cascade
from model_store.sizes.megan import MEGANSizes, ScaleSizes
from model_store.translator import Guide, Pass, Slab
from tests.support.models.tiny_megan import write_megan
from training.estimates.held_memory import Held


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("megan")
    write_megan(folder, "m", levels=2, lr_size=32, width=8)
    return folder


@pytest.fixture(scope="module")
def card(models: Path) -> TranslatorCard:
    return TranslatorCard.model_validate_json((models / "m" / "card.json").read_text())


def served(
    models: Path, card: TranslatorCard, precision: Precision = "float32", low_memory: bool = False
) -> ServedMEGAN:
    model = load(models / "m", card, precision=precision, low_memory=low_memory)
    assert isinstance(model, ServedMEGAN)
    return model


def guide(shape: tuple[int, int, int] = (64, 64, 64), doublings: int = 1) -> Guide:
    noise = torch.rand(40, 50, 45, generator=torch.Generator().manual_seed(0))
    drawn = torch.where(noise > 0.9, noise * 255, 0).to(torch.uint8)
    return Guide(drawn, shape, ((0.0, 39.0), (0.0, 49.0), (-3.0, 47.0)), doublings)


def image(model: ServedMEGAN, asked: Guide) -> torch.Tensor:
    return torch.cat([event.planes for event in model.translate(asked) if isinstance(event, Slab)])


@pytest.mark.parametrize("edges_at_twice", [False, True])
@pytest.mark.parametrize("skips", [False, True])
def test_a_card_says_what_the_weights_hold(edges_at_twice: bool, skips: bool) -> None:
    hr = [ScaleSizes(width=4, blocks=1), ScaleSizes(width=2, blocks=3)]
    sizes = MEGANSizes(lr=ScaleSizes(width=3, blocks=2), hr=hr, edges_at_twice=edges_at_twice, skips=skips)
    with torch.device("meta"):
        held = Cascade.build(sizes).state_dict()
    assert sizes.tensors() == {f"cascade.{key}": tuple(tensor.shape) for key, tensor in held.items()}


def test_weights_of_other_scales_are_listed_as_broken(models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "m", tmp_path / "m")
    path = tmp_path / "m" / "card.json"
    card = json.loads(path.read_text())
    hr = card["network"]["hr"]
    for change, reason in (
        ({"hr": [*hr, hr[0]]}, "weights.safetensors lacks 30 tensors, first cascade.levels.3."),
        ({"hr": hr[:1]}, "weights.safetensors has 30 tensors that the network does not know"),
        ({"lr": card["network"]["lr"] | {"width": 5}}, "the card's network needs (5, 1, 3, 3, 3)"),
    ):
        path.write_text(json.dumps(card | {"network": card["network"] | change}))
        assert reason in Catalogue([tmp_path]).broken()["m"]
    path.write_text(json.dumps(card))
    assert not Catalogue([tmp_path]).broken()


def test_slabs_come_in_order_and_are_the_whole_image(models: Path, card: TranslatorCard) -> None:
    events = list(served(models, card).translate(guide()))
    slabs = [event for event in events if isinstance(event, Slab)]
    assert [slab.start for slab in slabs] == [0, 20, 32]
    assert sum(len(slab.planes) for slab in slabs) == 64
    assert all(slab.planes.abs().max() <= 1 for slab in slabs)
    assert isinstance(events[0], Pass)


def test_low_memory_makes_the_same(models: Path, card: TranslatorCard) -> None:
    plain, frugal = served(models, card), served(models, card, low_memory=True)
    torch.testing.assert_close(image(frugal, guide()), image(plain, guide()), rtol=0, atol=5e-5)
    assert frugal.batch < plain.batch


@pytest.mark.parametrize(("precision", "apart"), [("bfloat16", 0.1), ("float16", 0.02)])
def test_fewer_bits_stay_near(models: Path, card: TranslatorCard, precision: Precision, apart: float) -> None:
    half = served(models, card, precision)
    assert half.size_bytes < 0.6 * served(models, card).size_bytes
    assert outline(card, precision).size_bytes == half.size_bytes
    asked = guide((32, 32, 32))  # a processor without these types takes a hundred times as long
    difference = (image(half, asked) - image(served(models, card), asked)).abs().mean()
    assert 0 < float(difference) < apart


@pytest.mark.slow
@pytest.mark.parametrize("low_memory", [False, True])
def test_the_estimate_of_memory_holds_and_does_not_grow(models: Path, card: TranslatorCard, low_memory: bool) -> None:
    model = served(models, card, low_memory=low_memory)
    peaks = []
    for side, doublings in ((64, 1), (128, 2)):
        with Held("cpu") as held:
            for event in model.translate(guide((side,) * 3, doublings)):
                del event
        # What the host keeps by design: two slabs of sums, the scale before, a slab of edges and planes on their way.
        kept = 4 * (2 * 32 + 3 * 32 + 20) * side**2 + 4 * (side // 2 + 16) ** 3
        peaks.append(held.peak - kept)
        assert peaks[-1] <= 1.05 * model.work_bytes("translate", (side,) * 3)
    assert peaks[0] > 0.2 * model.work_bytes("translate", (64, 64, 64))
    assert model.work_bytes("translate", (512,) * 3) == model.work_bytes("translate", (64,) * 3)


@pytest.mark.parametrize(
    ("shape", "doublings", "word"),
    [((64, 60, 64), 1, "multiples of 8"), ((24, 64, 64), 1, "from 32 on"), ((64, 64, 64), 3, "0 to 2 doublings")],
)
def test_a_shape_that_the_networks_cannot_make_is_refused(
    models: Path, card: TranslatorCard, shape: tuple[int, int, int], doublings: int, word: str
) -> None:
    with pytest.raises(ValueError, match=word):
        served(models, card).translate(guide(shape, doublings))
