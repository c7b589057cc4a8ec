"""Models that are no generators: how they are listed, loaded and refused what they cannot do."""

import json
from pathlib import Path

import pytest
import torch

from contract.errors import VerbNotSupported
from contract.fit import check_verb, generator_card
from model_store.card import AnyCard, DirectionCard, ModelCard, TranslatorCard, Verb
from model_store.catalogue import Catalogue
from model_store.load import load
from model_store.translator import Guide, Slab
from tests.support.models.tiny_models import write_tiny_hagan
from tests.support.models.tiny_translator import register, write_translator
from workers.bench import Bench
from workers.device.memory import PROCESS_BYTES, peak_bytes


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TranslatorCard:
    register(monkeypatch)
    return write_translator(tmp_path, "m")


def test_a_card_without_latent_is_listed_as_a_translators(tmp_path: Path, card: TranslatorCard) -> None:
    found = Catalogue([tmp_path]).card("m")
    assert isinstance(found, TranslatorCard)
    assert found == card
    assert found.verbs == ("translate",)
    assert "latent" not in json.loads(found.model_dump_json())


def test_a_card_that_is_of_the_other_kind_than_its_family_is_broken(tmp_path: Path, card: TranslatorCard) -> None:
    generator = write_tiny_hagan(tmp_path, "g")
    for name, fields in (
        ("m", card.model_dump(mode="json") | {"family": generator.family}),
        ("g", generator.model_dump(mode="json") | {"family": card.family}),
    ):
        (tmp_path / name / "card.json").write_text(json.dumps(fields))
        assert "card.json is not valid at" in Catalogue([tmp_path]).broken()[name]


@pytest.mark.parametrize("verb", ["generate", "encode", "edit"])
def test_what_a_translator_cannot_do_is_refused_with_what_it_can(card: TranslatorCard, verb: Verb) -> None:
    with pytest.raises(VerbNotSupported, match="can translate, not") as caught:
        generator_card(card, verb)
    assert caught.value.verbs == ["translate"]
    assert caught.value.errors == [("/model", "this model can translate")]
    check_verb(card, "translate")


def test_what_a_generator_cannot_do_is_refused_with_what_it_can(tmp_path: Path) -> None:
    generator: AnyCard = write_tiny_hagan(tmp_path, "g")
    assert isinstance(generator_card(generator, "edit"), ModelCard)
    with pytest.raises(VerbNotSupported, match="can generate, encode and edit, not translate"):
        check_verb(generator, "translate")


def test_a_direction_fits_no_translator(card: TranslatorCard) -> None:
    direction = DirectionCard(name="d", method="sefa", vector=[1.0], std=1.0, model_sha256=card.sha256)
    assert not direction.fits(card)


def test_the_slabs_of_a_translation_are_the_volume_in_order(tmp_path: Path, card: TranslatorCard) -> None:
    model = load(tmp_path / "m", card)
    guide = torch.randint(0, 256, (7, 5, 4), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    with torch.inference_mode():
        parts = list(model.translate(Guide(guide, (7, 5, 4), ((0, 6), (0, 4), (0, 3)), 0)))
    slabs = [part for part in parts if isinstance(part, Slab)]
    assert [slab.start for slab in slabs] == [0, 3, 6]
    torch.testing.assert_close(torch.cat([slab.planes for slab in slabs]), torch.tanh(2 * (guide / 127.5 - 1) - 1))


def test_a_bench_holds_both_kinds_and_gives_each_for_what_it_is(tmp_path: Path, card: TranslatorCard) -> None:
    write_tiny_hagan(tmp_path, "g")
    bench = Bench(Catalogue([tmp_path]), threads=1)
    bench.warm_up("m")
    assert bench.translator("m") is bench.model("m")
    assert bench.generator("g").card.name == "g"
    assert set(bench.resident()) == {"m", "g"}
    with pytest.raises(VerbNotSupported, match="can translate"):
        bench.generator("m")
    with pytest.raises(VerbNotSupported, match="can generate"):
        bench.translator("g")


def test_what_a_translator_needs_depends_on_the_scan(card: TranslatorCard) -> None:
    cpu, shape = torch.device("cpu"), (64, 64, 128)
    peak = peak_bytes(card, {"translate"}, "float32", False, cpu, shape)
    assert peak > PROCESS_BYTES + 3 * 4 * 64 * 64 * 128
    assert peak < peak_bytes(card, {"translate"}, "float32", False, cpu, (64, 64, 256))
    with pytest.raises(TypeError, match="shape of its volume"):
        peak_bytes(card, {"translate"}, "float32", False, cpu)
