"""The references of the shipped generators: rows for these weights, by which their own samples get a score."""

from pathlib import Path

import numpy as np
import pytest
import torch

from evaluation.attaching import headline
from evaluation.report import Report
from latents.sample import gaussian
from model_store.card import REFERENCE, ModelCard
from model_store.catalogue import SHIPPED, Catalogue, read_card
from model_store.features.neighbours import REALISM_K, distances, kth, realism_within
from model_store.features.reference import read
from model_store.load import load
from training.demo.references import COUNT, EXAMPLES, reference_from
from workers.steps.scoring import Scorer

MOST_BYTES = 60_000
DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_a_shipped_generator_has_a_small_reference_of_its_weights(name: str) -> None:
    card = Catalogue([SHIPPED]).card(name)
    assert isinstance(card, ModelCard)
    assert card.has_reference
    found = read(SHIPPED / name / REFERENCE, card)
    assert found.features.shape == (COUNT, 64)
    assert (SHIPPED / name / REFERENCE).stat().st_size < MOST_BYTES
    # Half of what it was trained on lies among the other half.
    halves = found.features[::2], found.features[1::2]
    radii = kth(distances(halves[0], halves[0]), REALISM_K)
    assert 0.8 < float(np.median(realism_within(radii, distances(halves[1], halves[0])))) < 1.3


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_a_shipped_generator_shows_its_last_evaluation_and_the_page_has_its_figures(name: str) -> None:
    found = Catalogue([SHIPPED]).evaluations().get(name)
    assert found is not None
    report = Report.model_validate_json((DOCS / "evaluations" / f"{name}.json").read_bytes())
    assert found == headline(report)
    row = next(
        line
        for line in (DOCS / "evaluation.md").read_text().splitlines()
        if line.startswith(f"| `{name}` | {report.counts.generated}")
    )
    assert f"| {report.fid.value:.2f} |" in row
    assert f"| {report.realism.mean.value:.2f} |" in row
    assert f"| {report.detail.generated.value:.3f} |" in row


def test_a_sample_of_a_shipped_generator_has_a_realism() -> None:
    folder = SHIPPED / "head-style-128"
    card = read_card(folder)
    assert isinstance(card, ModelCard)
    model = load(folder, card)
    assert model.reference is not None
    with torch.inference_mode():
        made = model.synthesise(model.map(gaussian(0, card.latent.z_dim)[None]))[0, 0]
    scorer = Scorer(card, model.reference, torch.device("cpu"))
    blank = scorer.score(torch.zeros_like(made))
    assert scorer.score(made).realism > 2 * blank.realism


def test_a_reference_is_made_of_examples_as_the_network_has_them() -> None:
    card = read_card(SHIPPED / "head-style-128")
    assert isinstance(card, ModelCard)
    source = torch.Generator().manual_seed(0)
    found = reference_from(card, iter(torch.rand(8, 64, 64, 64, generator=source)))
    assert (found.about.model_sha256, found.about.among) == (card.sha256, "train")
    assert found.features.shape == (8, 64)
