"""Import of MEGAN checkpoints: the card true, other files refused with what is wrong about them."""

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from model_store.card import TranslatorCard
from model_store.catalogue import Catalogue
from model_store.importers.jail import ImportRefused
from model_store.importers.megan import Target, import_megan
from model_store.load import load
from tests.support.models.megan_files import State, discriminator_state, generator_state, run, write_files
from tests.support.models.tiny_megan import write_megan
from voxelsmith.cli import app


def files(folder: Path, *states: State) -> tuple[Path, list[Path]]:
    lr, *hr = write_files(folder / "files", list(states))
    return lr, hr


def _plain(path: Path) -> Path:
    """The same file under a name that tells no level."""
    plain = path.parent.parent.parent / f"{path.parent.name}-copy.pth"
    plain.write_bytes(path.read_bytes())
    return plain


def refusal(folder: Path, lr: Path, hr: list[Path], **how: object) -> str:
    with pytest.raises(ImportRefused) as caught:
        import_megan("m", lr, hr, folder / "models", **how)  # type: ignore[arg-type]
    assert not [path for path in (folder / "models").glob("*") if path.is_dir()]
    return caught.value.detail


def test_the_card_says_what_the_files_and_the_user_say(tmp_path: Path) -> None:
    target = Target("soft kernel", "CT", (-1024.0, 600.0), (-1000.0, 500.0), "LPS", "scan")
    states = [generator_state(0, 4, 2), generator_state(1, 6, 1), generator_state(2, 4, 3)]
    lr, hr = files(tmp_path, *states)
    import_megan("m", lr, hr, tmp_path / "models", lr_size=32, target=target, licence="mine")
    card = Catalogue([tmp_path / "models"]).card("m")
    assert isinstance(card, TranslatorCard)
    assert card.verbs == ("translate",)
    assert card.network == {
        "lr": {"width": 4, "blocks": 2},
        "hr": [{"width": 6, "blocks": 1}, {"width": 4, "blocks": 3}],
        "lr_size": 32,
        "edges_at_twice": True,
    }
    assert (card.target_domain, card.modality, card.axes, card.grid) == ("soft kernel", "CT", "LPS", "scan")
    assert (card.intensity.low, card.intensity.high, card.intensity.units) == (-1024, 600, "HU")
    assert card.input_window == (-1000, 500)
    assert card.licence == "mine"
    assert set(card.provenance.original_sha256) == {"lr", "hr1", "hr2"}


def test_what_the_user_does_not_say_is_the_authors_way(tmp_path: Path) -> None:
    card = write_megan(tmp_path, "m", levels=0, lr_size=64)
    assert (card.grid, card.axes, card.input_window) == ("cube", "RAS", None)
    assert (card.intensity.low, card.intensity.high) == (0, 255)
    assert card.network["hr"] == []


def test_the_loaded_model_computes_what_the_files_held(tmp_path: Path) -> None:
    card = write_megan(tmp_path, "m")
    x = torch.randn(1, 2, 32, 32, 32, generator=torch.Generator().manual_seed(0))
    model = load(tmp_path / "m", card)
    with torch.inference_mode():
        made = model.cascade.levels[1](x)  # type: ignore[attr-defined]
    torch.testing.assert_close(made, run(generator_state(1), x, 4, 1), atol=1e-4, rtol=0)


@pytest.mark.slow
def test_networks_of_another_level_or_kind_are_refused(tmp_path: Path) -> None:
    lr, hr = files(tmp_path, generator_state(0), generator_state(1))
    assert "low-resolution network, which goes with --lr" in refusal(tmp_path, lr, [_plain(lr)])
    assert "high-resolution network, which goes with --hr" in refusal(tmp_path, _plain(hr[0]), [])
    for level in (0, 1):
        d = write_files(tmp_path / f"d{level}", [discriminator_state(level)])[0]
        assert "discriminator" in refusal(tmp_path, d, [])


def test_levels_out_of_order_are_refused(tmp_path: Path) -> None:
    lr, hr = files(tmp_path, generator_state(0), generator_state(1), generator_state(2))
    assert "named as that of level HR2" in refusal(tmp_path, lr, hr[::-1])
    assert "named as that of level HR2" in refusal(tmp_path, lr, hr[1:])
    numbered = hr[0].rename(tmp_path / "NETG_epoch_120_size32_to_64_HR2.pth")
    assert "named as that of level HR2" in refusal(tmp_path, lr, [numbered])


@pytest.mark.slow
def test_files_that_are_no_such_network_are_refused(tmp_path: Path) -> None:
    lacking = generator_state(0)
    del lacking["model.13.bias"]
    mixed = generator_state(0)
    mixed["model.6.weight"] = torch.zeros(8, 5, 4, 4, 4)
    wild = generator_state(0)
    wild["model.0.weight"][0, 0, 0, 0, 0] = torch.nan
    whole = {name: tensor.to(torch.int8) for name, tensor in generator_state(0).items()}
    unet = {f"conv1.{name}": tensor for name, tensor in generator_state(0).items()}
    words = ["lacks model.13.bias", "should be float (8, 4, 4, 4, 4)", "not finite", "is char", "not a MEGAN generator"]
    for number, (state, word) in enumerate(zip([lacking, mixed, wild, whole, unet], words, strict=True)):
        path = tmp_path / f"{number}.pth"
        torch.save(state, path)
        assert word in refusal(tmp_path, path, [])


def test_a_damaged_or_hostile_file_is_refused(tmp_path: Path) -> None:
    lr, _ = files(tmp_path, generator_state(0))
    cut = tmp_path / "cut.pth"
    cut.write_bytes(lr.read_bytes()[:-100])
    assert "damaged" in refusal(tmp_path, cut, [])
    torch.save({"model.0.weight": torch.nn.Conv3d(1, 1, 3)}, tmp_path / "code.pth")
    assert "could run code" in refusal(tmp_path, tmp_path / "code.pth", [])


def test_sizes_that_no_cascade_has_are_refused(tmp_path: Path) -> None:
    lr, hr = files(tmp_path, generator_state(0), generator_state(1))
    for size in (0, 8, 30, -64, 1024):
        assert "--lr-size" in refusal(tmp_path, lr, hr, lr_size=size)
    assert "larger than" in refusal(tmp_path, lr, [_plain(hr[0])] * 2, lr_size=512)
    assert "--axes" in refusal(tmp_path, lr, hr, target=Target(axes="RAR"))
    assert "--intensity" in refusal(tmp_path, lr, hr, target=Target(intensity=(5.0, 1.0)))


def test_a_folder_whose_scales_do_not_fit_is_listed_as_broken(tmp_path: Path) -> None:
    card = write_megan(tmp_path, "m", levels=2)
    network = card.network
    for wrong, word in (
        (network | {"lr_size": 30}, "network.lr_size"),
        (network | {"hr": network["hr"] * 4}, "network.hr"),
        (network | {"lr_size": 512}, "larger than 1024"),
        (network | {"hr": [{"width": 4}]}, "network.hr.0.blocks"),
        (network | {"edges": {"low": 0.5, "high": 0.2}}, "threshold"),
    ):
        (tmp_path / "m" / "card.json").write_text(card.model_copy(update={"network": wrong}).model_dump_json())
        assert word in Catalogue([tmp_path]).broken()["m"]


def test_the_command_imports_and_lists_what_can_be_asked(tmp_path: Path) -> None:
    lr, hr = files(tmp_path, generator_state(0), generator_state(1), generator_state(2))
    models = tmp_path / "models"
    options = ["--lr", str(lr), "--hr", str(hr[0]), "--hr", str(hr[1]), "--lr-size", "16", "--target", "T1"]
    done = CliRunner().invoke(app, ["--models", str(models), "models", "import", "megan", "--name", "m", *options])
    assert done.exit_code == 0, done.output
    assert "imported m (the scan's, translate)" in done.output
    shown = CliRunner().invoke(app, ["--models", str(models), "models", "show", "m"])
    assert json.loads(shown.stdout)["verbs"] == ["translate"]
