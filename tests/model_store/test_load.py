"""Loading: strict about everything, and the served HA-GAN against its networks run plainly."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from latents.sample import gaussian
from model_store.faults import FolderFault
from model_store.load import load
from model_store.networks.hagan import HAGANEncoder, HAGANGenerator
from tests.support.models.tiny_models import tiny_weights, write_card, write_tiny_hagan


def _plain_networks(folder, card):
    """The networks with the file's weights, unfolded and as built: an independent way to the same numbers."""
    size, width = card.shape[0], card.network["width"]
    generator = HAGANGenerator(size, width, card.latent.z_dim, len(card.classes))
    encoder = HAGANEncoder(size, width, card.latent.z_dim)
    tensors = {key: value.float() for key, value in load_file(folder / card.name / "weights.safetensors").items()}
    generator.load_state_dict({k.removeprefix("generator."): v for k, v in tensors.items() if k.startswith("g")})
    encoder.load_state_dict({k.removeprefix("encoder."): v for k, v in tensors.items() if k.startswith("e")})
    return generator.eval(), encoder.eval()


@pytest.mark.parametrize("stored", [torch.float16, torch.float32])
@pytest.mark.parametrize(("classes", "label"), [((), None), (("mild", "severe", "worst"), 2)])
def test_a_served_model_agrees_with_its_networks(tmp_path, classes, label, stored):
    card = write_tiny_hagan(tmp_path, "m", classes=classes, stored=stored)
    generator, encoder = _plain_networks(tmp_path, card)
    served = load(tmp_path / "m", card)
    z = torch.stack([gaussian(seed, 8) for seed in range(2)])
    one_hot = None if label is None else torch.eye(len(classes))[[label, label]]
    with torch.inference_mode():
        w = served.map(z, label)
        volume = served.synthesise(w)
        assert w.shape == (2, 1, 8 + len(classes))
        assert volume.dtype == torch.float32
        assert torch.allclose(volume, generator(z, one_hot), atol=1e-4)
        assert torch.allclose(served.encode(volume)[:, 0], encoder(volume), atol=1e-4)


def test_the_class_changes_the_volume(tmp_path):
    served = load(tmp_path / "m", write_tiny_hagan(tmp_path, "m", classes=("a", "b")))
    z = gaussian(0, 8)[None]
    assert not torch.equal(served.synthesise(served.map(z, 0)), served.synthesise(served.map(z, 1)))
    with pytest.raises(ValueError, match="conditional"):
        served.map(z)


def test_style_matrices_are_what_reads_z(tmp_path):
    card = write_tiny_hagan(tmp_path, "m", classes=("a", "b"))
    generator, _ = _plain_networks(tmp_path, card)
    (matrix,) = load(tmp_path / "m", card).style_matrices()
    z = gaussian(3, 8)
    zero = torch.zeros(1, 10)
    expected = generator.common.fc1(torch.cat([z, torch.zeros(2)])[None]) - generator.common.fc1(zero)
    assert torch.allclose(matrix @ z, expected[0], atol=1e-5)


def test_a_loaded_model_counts_its_bytes_without_the_training_branch(tmp_path):
    with_encoder = load(tmp_path / "m", write_tiny_hagan(tmp_path, "m"))
    without = load(tmp_path / "n", write_tiny_hagan(tmp_path, "n", encoder=False))
    assert with_encoder.size_bytes > without.size_bytes > 0
    assert not any("low" in key for key in with_encoder.state_dict())


def _rewrite(folder, change):
    """The weights changed, with a card whose digests are right: only loading can find the fault."""
    card = write_tiny_hagan(folder, "m")
    tensors = tiny_weights(32, 4, 8, 0, True, 0, torch.float16)
    change(tensors)
    save_file(tensors, folder / "m" / "weights.safetensors")
    return write_card(folder / "m", card)


def _set(tensors, key, value):
    tensors[key] = value


FAULTS = {
    "missing": (lambda t: t.pop("generator.common.fc1.bias"), "lacks 1 tensors, first generator.common.fc1.bias"),
    "extra": (lambda t: _set(t, "generator.more", torch.zeros(1)), "1 tensors that the network does not know"),
    "nan": (lambda t: t["encoder.ground.conv5.bias"].fill_(float("nan")), "not finite"),
    "inf": (lambda t: t["generator.low.conv1.bias"].fill_(float("inf")), "not finite"),
    "shape": (lambda t: _set(t, "generator.common.fc1.bias", torch.zeros(7)), r"has shape \(7,\)"),
    "integers": (lambda t: _set(t, "generator.common.fc1.bias", torch.zeros(4096, dtype=torch.int32)), "float type"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_weights_that_the_network_cannot_take_are_refused(tmp_path, fault):
    change, message = FAULTS[fault]
    card = _rewrite(tmp_path, change)
    with pytest.raises(FolderFault, match=message):
        load(tmp_path / "m", card)


def test_weights_changed_since_the_card_was_read_are_refused(tmp_path):
    card = write_tiny_hagan(tmp_path, "m")
    save_file(tiny_weights(32, 4, 8, 0, True, 1, torch.float16), tmp_path / "m" / "weights.safetensors")
    with pytest.raises(FolderFault, match="sha256"):
        load(tmp_path / "m", card)


def test_a_value_too_large_for_the_precision_is_refused(tmp_path):
    card = write_tiny_hagan(tmp_path, "m", stored=torch.float32)
    tensors = tiny_weights(32, 4, 8, 0, True, 0, torch.float32)
    tensors["generator.common.fc1.bias"][0] = 1e6
    save_file(tensors, tmp_path / "m" / "weights.safetensors")
    card = write_card(tmp_path / "m", card)
    load(tmp_path / "m", card)
    with pytest.raises(FolderFault, match="not finite"):
        load(tmp_path / "m", card, precision="float16")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"shape": (32, 32, 64)}, "cubes"),
        ({"shape": (40, 40, 40)}, "shape"),
        ({"network": {}}, "width"),
        ({"network": {"width": "4"}}, "width"),
        ({"family": "other"}, "family"),
    ],
)
def test_a_card_that_no_hagan_has_is_refused(tmp_path, fields, message):
    card = write_tiny_hagan(tmp_path, "m").model_copy(update=fields)
    with pytest.raises(FolderFault, match=message):
        load(tmp_path / "m", card)


def test_loading_draws_nothing_from_the_global_generator(tmp_path):
    card = write_tiny_hagan(tmp_path, "m")
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    load(tmp_path / "m", card)
    assert torch.equal(torch.rand(1), expected)


def test_a_loaded_model_outlives_its_file(tmp_path):
    """A mapped file that is cut under a running worker would kill it; the weights are copies."""
    served = load(tmp_path / "m", write_tiny_hagan(tmp_path, "m", stored=torch.float32))
    before = served.synthesise(served.map(gaussian(0, 8)[None]))
    with (tmp_path / "m" / "weights.safetensors").open("r+b") as file:
        file.truncate(0)
    assert torch.equal(served.synthesise(served.map(gaussian(0, 8)[None])), before)
