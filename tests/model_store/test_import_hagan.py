"""Import of the authors' HA-GAN checkpoints: the same numbers as their networks, the sizes settled, the card true."""

import json
from pathlib import Path

import pytest
import torch

import tests.support.models.hagan_files as authors
from model_store.card import ModelCard, Provenance
from model_store.catalogue import Catalogue
from model_store.folder import NotWritten
from model_store.importers.checkpoint import read_claims
from model_store.importers.hagan import import_hagan, make_card
from model_store.importers.hagan_sizes import Sizes, read_config, settle
from model_store.importers.hagan_weights import generator_table, inspect
from model_store.importers.jail import ImportRefused
from model_store.load import load

LATENT, CLASSES = 8, 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints: a conditional run at 128 with optimizer states, an unconditional one at 256."""
    folder = tmp_path_factory.mktemp("checkpoints")
    authors.save(folder / "G128.pth", authors.generator_state(LATENT + CLASSES))
    authors.save(folder / "E.pth", authors.encoder_state(), optimizer=True)
    authors.save(folder / "Sub_E128.pth", authors.sub_encoder_state(128, LATENT), optimizer=True)
    authors.save(folder / "D128.pth", authors.discriminator_state(128, CLASSES))
    authors.save(folder / "G256.pth", authors.generator_state(LATENT, seed=5))
    authors.save(folder / "Sub_E256.pth", authors.sub_encoder_state(256, LATENT))
    (folder / "configs128.json").write_text(json.dumps({"img_size": 128, "latent_dim": LATENT, "num_class": CLASSES}))
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def card_128(folder: Path, models: Path) -> ModelCard:
    return import_hagan(
        "lungs", folder / "G128.pth", models, encoder=folder / "E.pth", sub_encoder=folder / "Sub_E128.pth",
        discriminator=folder / "D128.pth", config=folder / "configs128.json", classes=["mild", "moderate", "severe"],
    )  # fmt: skip


def test_conditional_model_computes_what_the_authors_networks_compute(card_128: ModelCard, models: Path) -> None:
    model = load(models / "lungs", card_128)
    g, e, sub_e = (
        authors.generator_state(LATENT + CLASSES),
        authors.encoder_state(),
        authors.sub_encoder_state(128, LATENT),
    )
    z = torch.randn(1, LATENT, generator=torch.Generator().manual_seed(3))
    one_hot = torch.tensor([[0.0, 0.0, 1.0]])
    with torch.inference_mode():
        volume = model.synthesise(model.map(z, 2))
        expected = authors.high_volume(g, authors.latent_volume(g, torch.cat([z, one_hot], 1), 128))
        assert float(expected.std()) > 0.1
        assert float((volume - expected).abs().max()) < 1e-3
        latent, expected_latent = model.encode(expected)[:, 0], authors.encode(e, sub_e, expected)
    assert latent.shape == (1, LATENT)
    assert float((latent - expected_latent).norm() / expected_latent.norm()) < 1e-3


def test_256_model_computes_what_the_authors_networks_compute(folder: Path, models: Path) -> None:
    """Stage by stage, on part of the volume: the whole would take half a minute."""
    card = import_hagan(
        "lungs-256", folder / "G256.pth", models, encoder=folder / "E.pth", sub_encoder=folder / "Sub_E256.pth"
    )
    model = load(models / "lungs-256", card)
    g, random = authors.generator_state(LATENT, seed=5), torch.Generator().manual_seed(4)
    z = torch.randn(1, LATENT, generator=random)
    slab = torch.rand(1, 1, 32, 256, 256, generator=random) * 2 - 1
    with torch.inference_mode():
        features, expected = model.generator.common(z), authors.latent_volume(g, z, 256)
        assert features.shape == (1, 64, 64, 64, 64)
        assert float((features - expected).abs().max()) < 1e-3
        part = expected[:, :, 20:24, 10:26, 30:46]
        assert float((model.generator.high(part) - authors.high_volume(g, part)).abs().max()) < 1e-3
        high, expected_high = model.encoder.high(slab), authors.slab_features(authors.encoder_state(), slab)
        assert float((high - expected_high).abs().max()) < 1e-3
        latent = model.encoder.ground(expected)
        expected_latent = authors.ground_latent(authors.sub_encoder_state(256, LATENT), expected)
    assert float((latent - expected_latent).norm() / expected_latent.norm()) < 1e-3


def test_card_of_a_ct_model_says_what_the_authors_preprocessing_did(card_128: ModelCard, models: Path) -> None:
    assert (card_128.shape, card_128.axes, card_128.modality) == ((128, 128, 128), "SPL", "CT")
    assert (card_128.intensity.low, card_128.intensity.high, card_128.intensity.units) == (-1024, 600, "HU")
    assert card_128.spacing_is_nominal
    assert card_128.spacing_mm == (1, 1, 1)
    assert card_128.preprocess.trim_blank_slices
    assert card_128.preprocess.window == (-1024, 600)
    assert card_128.classes == ["mild", "moderate", "severe"]
    assert card_128.has_encoder
    assert set(card_128.provenance.original_sha256) == {"generator", "encoder", "sub_encoder", "discriminator"}
    assert Catalogue([models]).card("lungs") == card_128
    assert sorted(path.name for path in (models / "lungs").iterdir()) == ["card.json", "weights.safetensors"]


def test_brain_model_of_the_generator_alone(folder: Path, tmp_path: Path) -> None:
    card = import_hagan("brains", folder / "G256.pth", tmp_path, resolution=256, modality="MR")
    assert (card.axes, card.intensity.low, card.intensity.high, card.intensity.units) == ("IAL", 0, 140, "a.u.")
    assert card.spacing_mm == pytest.approx((0.65, 0.84, 0.84), abs=0.005)
    assert (card.latent.z_dim, card.classes, card.has_encoder) == (LATENT, [], False)
    assert "Only the generator" in card.provenance.notes
    with pytest.raises(NotWritten, match="exists already"):
        import_hagan("brains", folder / "G256.pth", tmp_path, resolution=256)
    again = import_hagan("brains", folder / "G256.pth", tmp_path, resolution=128, intensity=(-1000, 400), force=True)
    assert Catalogue([tmp_path]).card("brains") == again
    assert (again.modality, again.intensity.low, again.spacing_mm) == ("CT", -1000, (1, 1, 1))
    assert [path.name for path in tmp_path.iterdir()] == ["brains"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"axes": "SPS"}, "--axes"),
        ({"axes": "spl"}, "--axes"),
        ({"intensity": (600.0, -1024.0)}, "--intensity"),
        ({"intensity": (float("nan"), 1.0)}, "--intensity"),
        ({"intensity": (0.0, 1.0)}, "so narrow"),
        ({"intensity": (-1.0, 14.9)}, "so narrow"),
        ({"spacing_mm": (1.0, 0.0, 1.0)}, "voxel size"),
        ({"modality": "PET"}, "--modality"),
    ],
)
def test_card_that_makes_no_sense_is_refused(options: dict, message: str) -> None:
    parts = {"name": "x", "axes": None, "spacing_mm": None, "intensity": None, "licence": "", "has_encoder": False}
    provenance = Provenance(origin="imported")
    whole = parts | {"provenance": provenance, "files": {"weights.safetensors": ""}}
    modality = options.get("modality", "CT")
    assert make_card(Sizes(128, 8, 0), "CT", [], whole).shape == (128, 128, 128)
    with pytest.raises(ImportRefused, match=message):
        make_card(Sizes(128, 8, 0), modality, [], whole | {k: v for k, v in options.items() if k != "modality"})


def test_refused_import_leaves_nothing_behind(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ImportRefused, match="--resolution"):
        import_hagan("lungs", folder / "G128.pth", tmp_path / "models")
    with pytest.raises(ImportRefused, match=r"configs\.json .* says 128"):
        import_hagan(
            "lungs", folder / "G128.pth", tmp_path / "models", resolution=256, config=folder / "configs128.json"
        )
    with pytest.raises(ImportRefused, match="--sub-encoder"):
        import_hagan("lungs", folder / "G128.pth", tmp_path / "models", encoder=folder / "E.pth")
    for name in ("../lungs", "Lungs", "a..b", "", ".lungs"):
        with pytest.raises(NotWritten, match="name"):
            import_hagan(name, folder / "G128.pth", tmp_path / "models", resolution=128)
    assert [*(tmp_path / "models").iterdir()] == []


FACTS = {"inputs": 8, "latent_dim": None, "num_classes": None, "sub_encoder_size": None, "discriminator_size": None}


@pytest.mark.parametrize(
    ("facts", "stated", "resolution", "classes", "expected"),
    [
        ({}, {}, 256, None, Sizes(256, 8, 0)),
        ({}, {"img_size": 128}, None, None, Sizes(128, 8, 0)),
        ({"sub_encoder_size": 256, "latent_dim": 6}, {}, None, None, Sizes(256, 6, 2)),
        ({"discriminator_size": 128, "num_classes": 3}, {}, None, None, Sizes(128, 5, 3)),
        ({"inputs": 1029}, {}, 256, None, Sizes(256, 1024, 5)),
        ({"inputs": 1029}, {"latent_dim": 1000}, 256, None, Sizes(256, 1000, 29)),
        ({}, {}, 128, ["a", "b"], Sizes(128, 6, 2)),
        ({"latent_dim": 6}, {}, 128, ["a", "b"], Sizes(128, 6, 2)),
    ],
)
def test_sizes_follow_from_any_one_source(
    facts: dict, stated: dict, resolution: int | None, classes: list[str] | None, expected: Sizes
) -> None:
    sizes = settle(FACTS | facts, stated, resolution, classes)
    assert (sizes.size, sizes.latent_dim, sizes.num_classes) == (
        expected.size,
        expected.latent_dim,
        expected.num_classes,
    )


@pytest.mark.parametrize(
    ("facts", "stated", "resolution", "classes", "message"),
    [
        ({}, {"img_size": 256}, 128, None, "--resolution says 128, configs.json"),
        ({"sub_encoder_size": 128, "latent_dim": 8}, {"img_size": 256}, None, None, "the sub-encoder file says 128"),
        ({}, {}, 64, None, "128 or 256"),
        ({"latent_dim": 9}, {}, 128, None, "do not belong together"),
        ({"latent_dim": 6}, {}, 128, ["a"], "do not belong together"),
        ({"num_classes": 2}, {}, 128, ["a"], "number of classes is contradicted"),
        ({"inputs": 3000}, {}, 128, None, "--config or --sub-encoder"),
        ({}, {}, None, None, "--resolution"),
    ],
)
def test_contradicting_or_missing_sizes_are_refused(
    facts: dict, stated: dict, resolution: int | None, classes: list[str] | None, message: str
) -> None:
    with pytest.raises(ImportRefused, match=message):
        settle(FACTS | facts, stated, resolution, classes)


@pytest.mark.parametrize(
    "text", ["", "[1]", '{"img_size": "256"}', '{"img_size": true}', '{"num_class": -1}', "{" * 90000]
)
def test_unusable_config_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "configs.json").write_text(text)
    with pytest.raises(ImportRefused, match="config"):
        read_config(tmp_path / "configs.json")


def _claims(path: Path, content: authors.State) -> dict:
    return read_claims(authors.save(path, content), "x")


def test_file_of_another_network_is_refused_with_its_option(folder: Path) -> None:
    swapped = {"generator": read_claims(folder / "Sub_E128.pth", "generator")}
    with pytest.raises(ImportRefused, match=r"--generator is not .* for --sub-encoder"):
        inspect(swapped)
    sound = {"generator": read_claims(folder / "G128.pth", "generator")}
    with pytest.raises(ImportRefused, match=r"--encoder is not .* for --discriminator"):
        inspect(sound | {"encoder": read_claims(folder / "D128.pth", "encoder")})


def test_generator_with_other_tensors_is_refused(folder: Path, tmp_path: Path) -> None:
    state = authors.generator_state(2)
    sound = _claims(tmp_path / "x.pth", state)
    assert inspect({"generator": sound})["inputs"] == 2
    with pytest.raises(ImportRefused, match=r"lacks bn3\.bias"):
        inspect({"generator": {name: claim for name, claim in sound.items() if name != "bn3.bias"}})
    with pytest.raises(ImportRefused, match=r"besides bn3\.running_mean"):
        inspect({"generator": sound | {"bn3.running_mean": sound["bn3.bias"]}})
    with pytest.raises(ImportRefused, match=r"tp_conv7\.bias .* should be float \(1,\)"):
        inspect({"generator": sound | {"tp_conv7.bias": sound["bn3.bias"]}})
    halved = _claims(tmp_path / "y.pth", {"a": torch.zeros(1, dtype=torch.int8)})["a"]
    with pytest.raises(ImportRefused, match="is char"):
        inspect({"generator": sound | {"tp_conv7.bias": halved}})


def test_every_generator_tensor_of_the_authors_is_mapped() -> None:
    table = generator_table(1024)
    assert len(table) == 38
    assert sum(torch.Size(shape).numel() for _, shape in table.values()) == 52_518_210
    assert len({ours for ours, _ in table.values()}) == 38
