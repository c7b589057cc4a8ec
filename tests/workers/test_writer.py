"""The writer: what a result says of where it comes from."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

from contract.fields import OutputOptions
from tests.support.models.tiny_translator import write_translator
from volumes.volume import Volume
from workers.steps.recipe_events import Product, ScanDigest
from workers.writing.folder_sink import FolderSink
from workers.writing.writer import Writer


def test_a_volume_made_from_a_scan_names_the_scan_and_no_latent(tmp_path: Path) -> None:
    card = write_translator(tmp_path)
    writer = Writer(card, OutputOptions(), tmp_path, FolderSink(tmp_path / "out"), {"synthetic": True})
    product = Product(Volume(np.zeros((4, 5, 6), np.float32), np.eye(4)), ScanDigest("ab" * 32))
    writer.keep_volume(product)
    writer.keep_latents()
    writer.keep_provenance({"kind": "translate"})
    (result,) = writer.manifest().results
    assert (result.latent, result.noise_seed, result.scan_sha256) == (None, None, "ab" * 32)
    assert [file.name for file in writer.files] == ["000.png", "provenance.json"]
    (made,) = json.loads((tmp_path / "out" / "provenance.json").read_text())["results"]
    assert made["scan_sha256"] == "ab" * 32
    header = nibabel.load(tmp_path / "out" / result.name).header
    told = json.loads(header.extensions[0].get_content())
    assert told == {"synthetic": True, "scan_sha256": "ab" * 32, "label": None}
    with pytest.raises(TypeError, match="has no latent"):
        _ = product.latent
