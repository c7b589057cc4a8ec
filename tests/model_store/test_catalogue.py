"""The catalogue: what it lists, how it names what is broken, and that broken folders stop no other."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from model_store.card import DirectionCard, ModelCard
from model_store.catalogue import SHIPPED, Catalogue, NoSuchFolder
from model_store.faults import FolderFault
from model_store.load import SERVED
from model_store.sizes.table import FAMILIES
from tests.support.models.tiny_models import write_tiny_hagan


def _no_card(folder: Path) -> None:
    (folder / "card.json").unlink()


def _bad_json(folder: Path) -> None:
    (folder / "card.json").write_text("{")


def _not_a_card(folder: Path) -> None:
    (folder / "card.json").write_text('{"name": 5}')


def _change_card(folder: Path, **fields) -> None:
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps(card | fields))


def _misspell_modality(folder: Path) -> None:
    path = folder / "card.json"
    path.write_text(path.read_text().replace('"modality"', '"modallity"'))


def _truncate(folder: Path) -> None:
    data = (folder / "weights.safetensors").read_bytes()
    (folder / "weights.safetensors").write_bytes(data[:-100])


def _flip_a_bit(folder: Path) -> None:
    data = bytearray((folder / "weights.safetensors").read_bytes())
    data[-5] ^= 4
    (folder / "weights.safetensors").write_bytes(bytes(data))
    _change_later(folder / "weights.safetensors")


def _change_later(path: Path) -> None:
    """Gives a file another time; many kernels give all changes within some milliseconds the same one."""
    os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns + 10**9))


BREAKS = {
    "no-card": (_no_card, "card.json is missing"),
    "bad-json": (_bad_json, "card.json is not valid"),
    "not-a-card": (_not_a_card, "card.json is not valid"),
    "unknown-field": (lambda f: _change_card(f, surprise=1), "card.json is not valid at surprise"),
    "misspelt-field": (_misspell_modality, "card.json is not valid at modallity: there is no field of that name"),
    "huge-card": (lambda f: (f / "card.json").write_text(" " * 2**20 + "{}"), "card.json is too large"),
    "other-name": (lambda f: _change_card(f, name="lungs"), "another name, lungs, than its folder, other-name"),
    "other-family": (lambda f: _change_card(f, family="diffusion"), "family"),
    "no-width": (lambda f: _change_card(f, network={}), "card.json is not valid at network.width: Field required"),
    "odd-width": (lambda f: _change_card(f, network={"width": 5}), "card.json is not valid at network.width: "),
    "more-network": (
        lambda f: _change_card(f, network={"width": 4, "depth": 3}),
        "card.json is not valid at network.depth: there is no field of that name",
    ),
    "no-cube": (lambda f: _change_card(f, shape=[32, 32, 64]), "card.json: a HA-GAN makes cubes"),
    "no-weights": (lambda f: (f / "weights.safetensors").unlink(), "weights.safetensors is missing"),
    "no-digest": (lambda f: _change_card(f, files={}), "names no weights.safetensors"),
    "wrong-sha": (
        lambda f: _change_card(f, files={"weights.safetensors": "0" * 64}),
        "weights.safetensors does not match its sha256",
    ),
    "flipped": (_flip_a_bit, "weights.safetensors does not match its sha256"),
    "truncated": (_truncate, "weights.safetensors is truncated"),
    "empty": (lambda f: (f / "weights.safetensors").write_bytes(b""), "weights.safetensors is truncated"),
    "not-safetensors": (
        lambda f: (f / "weights.safetensors").write_bytes(b"\x05" + bytes(7) + b"[1,2]"),
        "weights.safetensors has no readable header",
    ),
    "escaping": (lambda f: _change_card(f, files={"../../etc/passwd": "0"} | _digest(f)), "plain file name"),
}


def _digest(folder: Path) -> dict[str, str]:
    return json.loads((folder / "card.json").read_text())["files"]


def test_every_broken_folder_is_listed_with_its_reason_while_others_serve(tmp_path):
    write_tiny_hagan(tmp_path, "good")
    for name, (break_it, _) in BREAKS.items():
        write_tiny_hagan(tmp_path, name)
        break_it(tmp_path / name)
    (tmp_path / "nothing").mkdir()
    catalogue = Catalogue([tmp_path])
    assert [card.name for card in catalogue.cards()] == ["good"]
    broken = catalogue.broken()
    assert set(broken) == {*BREAKS, "nothing"}
    for name, (_, reason) in BREAKS.items():
        assert reason in broken[name]
        assert str(tmp_path) not in broken[name]
        with pytest.raises(FolderFault) as caught:
            catalogue.card(name)
        assert caught.value.detail == broken[name]


def test_cards_come_by_name_and_name_their_folder(tmp_path):
    write_tiny_hagan(tmp_path, "b")
    card = write_tiny_hagan(tmp_path, "a", classes=("mild", "severe"))
    catalogue = Catalogue([tmp_path])
    assert [c.name for c in catalogue.cards()] == ["a", "b"]
    assert catalogue.card("a") == card
    assert catalogue.folder("a") == tmp_path / "a"


def test_an_unknown_model_is_told_apart_from_a_broken_one(tmp_path):
    catalogue = Catalogue([tmp_path, tmp_path / "absent"])
    for ask in (catalogue.card, catalogue.folder, catalogue.directions):
        with pytest.raises(NoSuchFolder):
            ask("nobody")


def test_changes_on_disk_show_without_a_restart(tmp_path):
    catalogue = Catalogue([tmp_path])
    assert catalogue.cards() == []
    write_tiny_hagan(tmp_path, "late")
    assert [card.name for card in catalogue.cards()] == ["late"]
    _flip_a_bit(tmp_path / "late")
    assert "sha256" in catalogue.broken()["late"]
    shutil.rmtree(tmp_path / "late")
    assert catalogue.broken() == {}


def test_an_unchanged_folder_is_not_read_again(tmp_path):
    write_tiny_hagan(tmp_path, "still")
    catalogue = Catalogue([tmp_path])
    assert catalogue.card("still") is catalogue.card("still")


def test_dotted_folders_and_files_are_no_models(tmp_path):
    (tmp_path / ".tmp-import").mkdir()
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "README.md").write_text("hello")
    catalogue = Catalogue([tmp_path])
    assert (catalogue.cards(), catalogue.broken()) == ([], {})


def test_of_two_models_with_one_name_the_first_folder_wins(tmp_path):
    first = write_tiny_hagan(tmp_path / "one", "twin", seed=1)
    write_tiny_hagan(tmp_path / "two", "twin", seed=2)
    assert Catalogue([tmp_path / "one", tmp_path / "two"]).card("twin").sha256 == first.sha256


def test_what_loading_finds_is_kept_until_the_files_change(tmp_path):
    write_tiny_hagan(tmp_path, "model")
    catalogue = Catalogue([tmp_path])
    catalogue.cards()
    catalogue.note_broken("model", "has values that are not finite")
    assert catalogue.broken() == {"model": "has values that are not finite"}
    _change_later(tmp_path / "model" / "card.json")
    assert catalogue.broken() == {}


def _direction(card: ModelCard, **fields) -> dict:
    vector = [1.0] + [0.0] * (card.latent.z_dim - 1)
    base = {"name": "size", "method": "regression", "attribute": "volume", "vector": vector, "std": 1.0}
    base |= {"slope": 2.0, "intercept": 1.0, "r2": 0.9, "units": "ml", "model_sha256": card.sha256}
    return base | fields


def test_shipped_directions_are_listed_but_stale_and_malformed_ones_are_left_out(tmp_path):
    card = write_tiny_hagan(tmp_path, "model")
    folder = tmp_path / "model" / "directions"
    folder.mkdir()
    stored = {
        "size": _direction(card),
        "stale": _direction(card, name="stale", model_sha256="0" * 64),
        "short": _direction(card, name="short", vector=[1.0]),
        "long": _direction(card, name="long", vector=[2.0] + [0.0] * 7),
        "misnamed": _direction(card, name="other"),
        "flat": _direction(card, name="flat", slope=0.0),
    }
    for name, direction in stored.items():
        (folder / f"{name}.json").write_text(json.dumps(direction))
    (folder / "broken.json").write_text("nonsense")
    assert Catalogue([tmp_path]).directions("model") == [DirectionCard(**stored["size"]).model_dump()]


def test_listing_models_loads_no_torch():
    code = "import sys, model_store.catalogue, contract.fit; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_catalogue_knows_the_families_that_load_builds():
    assert {name: served.sizes for name, served in SERVED.items()} == FAMILIES


def test_no_shipped_model_is_broken():
    assert Catalogue([SHIPPED]).broken() == {}
