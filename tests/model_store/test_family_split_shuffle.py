"""Split&Shuffle-GAN as it is served: it makes what the training's networks make, and noise comes from a seed alone."""

from pathlib import Path

import pytest
import torch

from model_store.card import LatentSpec, ModelCard, TruncationSpec
from model_store.families.split_shuffle import ServedSplitShuffle
from model_store.faults import FolderFault
from model_store.load import load
from tests.support.models.tiny_split_shuffle import tiny_weights, write_split_shuffle


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> ModelCard:
    return write_split_shuffle(tmp_path_factory.getbasetemp() / "split-shuffle")


@pytest.fixture(scope="module")
def served(card: ModelCard, tmp_path_factory: pytest.TempPathFactory) -> ServedSplitShuffle:
    model = load(tmp_path_factory.getbasetemp() / "split-shuffle" / card.name, card)
    assert isinstance(model, ServedSplitShuffle)
    return model


def latents(n: int) -> torch.Tensor:
    return torch.randn(n, 8, generator=torch.Generator().manual_seed(7))


def test_a_settled_model_makes_what_the_unfolded_networks_make(card: ModelCard, served: ServedSplitShuffle) -> None:
    raw = ServedSplitShuffle(card)
    raw.load_state_dict(tiny_weights(card, seed=0))
    volume = torch.rand(2, 1, *card.shape)
    with torch.no_grad():
        w = served.map(latents(2))
        assert w.shape == (2, 6, 8)
        torch.testing.assert_close(w, raw.map(latents(2)))
        made = served.synthesise(w, 3)
        assert made.shape == (2, 1, 8, 12, 16)
        torch.testing.assert_close(made, raw.synthesise(w, 3), atol=1e-5, rtol=1e-5)
        for ours, theirs in zip(served.critic_features(volume), raw.critic_features(volume), strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_style_matrices_are_what_turns_w_into_styles(served: ServedSplitShuffle) -> None:
    matrices = served.style_matrices()
    assert [matrix.shape for matrix in matrices] == [(4, 8)] * 6
    step = torch.randn(2, 8)
    for layer, matrix in zip(served.synthesis.convolutions, matrices, strict=False):
        moved = layer.codes(step)[0] - layer.codes(torch.zeros(2, 8))[0]
        torch.testing.assert_close(moved.flatten(1), step @ matrix.T, atol=1e-5, rtol=1e-5)


def test_without_a_critic_there_are_no_features_and_there_is_never_an_encoder(tmp_path: Path) -> None:
    card = write_split_shuffle(tmp_path, critic=False, variant="baseline")
    model = load(tmp_path / card.name, card)
    volume = torch.zeros(1, 1, *card.shape)
    assert model.critic_features(volume) == []
    with pytest.raises(TypeError, match="no encoder"):
        model.encode(volume)
    with pytest.raises(ValueError, match="conditional"):
        model.map(latents(1), 0)


def test_a_card_that_no_such_network_has_is_broken(card: ModelCard) -> None:
    for wrong in (
        {"network": card.network | {"channels": 5}},
        {"network": card.network | {"variant": "other"}},
        {"network": card.network | {"depth": 3}},
        {"network": card.network | {"base": [2, 4]}},
        {"shape": (8, 12, 32)},
        {"latent": LatentSpec(z_dim=8, w_dim=8, num_styles=5, has_style_space=True)},
        {"truncation": TruncationSpec(kind="normal")},
        {"has_encoder": True},
        {"classes": ["a", "b"]},
    ):
        with pytest.raises(FolderFault, match=r"card\.json"):
            ServedSplitShuffle(card.model_copy(update=wrong))
