"""The recipe of the translator of heads: every phase of it runs, and its card says how the model was made."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from model_store.card import TranslatorCard
from model_store.catalogue import Catalogue
from model_store.families.megan import ServedMEGAN
from model_store.load import load
from training.demo.head_t1_128 import NAME, SOURCES, config_of, finish
from training.megan.by_distance import Descent, fit


@pytest.mark.slow
def test_every_phase_of_the_recipe_runs(tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    x, y, z = np.ogrid[:68, :66, :64]
    radius = np.sqrt((x - 33.0) ** 2 + (y - 32.0) ** 2 + (z - 31.0) ** 2)
    ball = ((radius < 31) * 300 + (radius < 14) * 200).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(ball, np.diag([2.0, 2.0, 2.0, 1.0])), tmp_path / "scans" / "0.nii.gz")
    small = {"lr_size": 16, "lr_width": 2, "hr_width": 2, "critic_width": 2}
    config = config_of(tmp_path / "scans", tmp_path).model_copy(update=small)
    for scale in range(3):
        once = torch.load(fit(config, scale, Descent(1, 2)), weights_only=True)["network"]
        resumed = torch.load(fit(config, scale, Descent(2, 2)), weights_only=True)
        assert resumed["done"] == 2
        assert not torch.equal(resumed["network"]["leave.weight"], once["leave.weight"])
    folder = finish(config)
    card = Catalogue([tmp_path]).card(NAME)
    assert isinstance(card, TranslatorCard)
    assert len(card.provenance.sources) == len(SOURCES)
    assert "translator-model" in card.provenance.command
    assert card.licence
    model = load(folder, card)
    assert isinstance(model, ServedMEGAN)
    assert [level.adds for level in model.cascade.levels] == [False, True, True]
