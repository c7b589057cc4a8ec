"""`distortion`, the feature network that ships: what it was trained for, on volumes that it was not trained on."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage
from scipy.stats import spearmanr

from evaluation.distances.frechet import frechet
from evaluation.distances.neighbours import distances, realism
from evaluation.samples import opened
from evaluation.studies.damage import KINDS, STRENGTHS
from model_store.faults import FolderFault
from model_store.features.distortion_network import CARD, SHIPPED, DistortionNetwork
from model_store.features.network import features_of
from model_store.features.shipped import shipped_network
from training.demo.distortion_features import SOURCES
from training.phantoms.phantom import thorax
from volumes.intensity import to_unit
from volumes.scan import Preparation

Volumes = NDArray[np.float32]
DATA = Path(__file__).parents[3] / "shared" / "data"
HELD_OUT = ("niivue_otsu.nii.gz", "vrd_stroke_T1.nii.gz", "antspy_ch2.nii.gz")
HEADS = ("T1_head_ext2.nii.gz", "seg3D_MR.nii.gz", "brainchop_t1_crop.nii.gz", "fnndsc_eun_uchar_8.nii.gz")
THORACES = ("cip_thorax_ct-64.nrrd", "cip_thorax_TestInput.nrrd", "innereye_thorax_ct_small.nii.gz")
HAS_DATA = all((DATA / name).exists() for name in HELD_OUT + HEADS + THORACES)


@pytest.fixture(scope="module")
def network() -> DistortionNetwork:
    return DistortionNetwork()


@pytest.fixture(scope="module")
def phantoms() -> Volumes:
    """(3, 64, 64, 64) in [0, 1]: seeds that the recipe does not take."""
    return np.stack([to_unit(thorax(seed, (64, 64, 64), (5.5, 5.5, 5.5)).array, -1024, 600) for seed in range(3)])


def rows(network: DistortionNetwork, volumes: Volumes) -> NDArray[np.float64]:
    """(n, 64)."""
    return features_of(network, torch.from_numpy(np.ascontiguousarray(volumes))[:, None]).numpy().astype(np.float64)


def worse(volume: Volumes) -> Volumes:
    """(6, 64, 64, 64), each worse than the one before: sharp, soft, blurred, filled with one grey, an ellipsoid,
    noise."""
    body = ndimage.binary_fill_holes(ndimage.gaussian_filter(volume, 1) > 0.08)
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, 64)] * 3, indexing="ij")
    grey = volume[body].mean()
    made = [
        volume,
        ndimage.gaussian_filter(volume, 0.75),
        ndimage.gaussian_filter(volume, 2),
        np.where(body, grey, volume),
        np.where((x / 0.62) ** 2 + (y / 0.8) ** 2 + (z / 0.75) ** 2 < 1, grey, 0),
        np.random.default_rng(0).random(volume.shape),
    ]
    return np.stack(made).astype(np.float32)


def test_phantoms_lie_the_farther_from_whole_ones_the_worse_they_are(
    network: DistortionNetwork, phantoms: Volumes
) -> None:
    nearest = distances(rows(network, worse(phantoms[0])), rows(network, phantoms[1:])).min(axis=1)
    assert nearest.tolist() == sorted(nearest), nearest


def test_features_are_those_of_the_weights_that_ship(network: DistortionNetwork, tmp_path: Path) -> None:
    volume = torch.from_numpy(np.random.RandomState(0).rand(2, 1, 70, 66, 64).astype(np.float32))
    together = features_of(network, volume)
    assert together.shape == (2, 64)
    torch.testing.assert_close(
        together[1:], features_of(shipped_network("distortion"), volume[1:]), rtol=1e-4, atol=1e-4
    )
    card = json.loads((SHIPPED / CARD).read_text())
    assert network.sha256 == card["sha256"]
    assert len(card["provenance"]["sources"]) == len(SOURCES) + 1
    shutil.copytree(SHIPPED, tmp_path / "damaged")
    with (tmp_path / "damaged" / "weights.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x7f")
    with pytest.raises(FolderFault, match="sha256"):
        DistortionNetwork(folder=tmp_path / "damaged")


def test_a_volume_alone_has_the_features_that_it_has_among_others(network: DistortionNetwork) -> None:
    volumes = torch.rand(2, 1, 64, 64, 64, generator=torch.Generator().manual_seed(0))
    alone = torch.cat([features_of(network, one[None]) for one in volumes])
    torch.testing.assert_close(alone, features_of(network, volumes), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(alone, network.features(volumes), rtol=1e-5, atol=1e-5)  # by torch's own kernel


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_they_notice_damage_the_more_the_worse(network: DistortionNetwork, phantoms: Volumes, kind: str) -> None:
    """The Frechet distance from whole volumes, and the distance of each from what it was."""
    whole = rows(network, phantoms)
    damaged = [rows(network, np.stack([KINDS[kind](one, strength) for one in phantoms])) for strength in STRENGTHS]
    assert spearmanr(STRENGTHS, [frechet(whole, found) for found in damaged]).statistic >= 0.9
    for each in range(len(phantoms)):
        moved = [float(np.linalg.norm(found[each] - whole[each])) for found in damaged]
        assert spearmanr(STRENGTHS, moved).statistic >= 0.9


# -- Scans that nobody trained on ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scans(network: DistortionNetwork) -> dict[str, Volumes]:
    how = Preparation(shape=(64, 64, 64), axes="RAS", spacing_mm=(3.0, 3.0, 3.0), network_range=(0.0, 1.0))
    return {name: how.array(opened(DATA / name)) for name in HELD_OUT + HEADS + THORACES}


@pytest.mark.slow
@pytest.mark.skipif(not HAS_DATA, reason="needs the shared volumes")
def test_heads_are_in_order_and_a_thorax_is_no_head(network: DistortionNetwork, scans: dict[str, Volumes]) -> None:
    """By the median over held-out heads of the distance to the nearest other head."""
    assert not {source.file for source in SOURCES} & {*HELD_OUT, *THORACES}
    heads = rows(network, np.stack([scans[name] for name in HEADS]))
    nearest = np.stack([distances(rows(network, worse(scans[name])), heads).min(axis=1) for name in HELD_OUT])
    middle = np.median(nearest, axis=0)
    assert middle.tolist() == sorted(middle), middle
    thoraces = rows(network, np.stack([scans[name] for name in THORACES]))
    assert distances(thoraces, heads).min() > 2 * nearest[:, 0].max()
    for k in range(len(THORACES)):
        to_others = distances(thoraces[k : k + 1], np.delete(thoraces, k, axis=0)).min()
        assert to_others < distances(thoraces[k : k + 1], heads).min()


@pytest.mark.slow
@pytest.mark.skipif(not HAS_DATA, reason="needs the shared volumes")
@pytest.mark.parametrize("kind", KINDS)
def test_scans_lose_realism_the_more_the_worse(
    network: DistortionNetwork, scans: dict[str, Volumes], kind: str
) -> None:
    heads = rows(network, np.stack([scans[name] for name in HEADS]))
    for name in HELD_OUT:
        damaged = rows(network, np.stack([KINDS[kind](scans[name], strength) for strength in STRENGTHS]))
        moved = np.linalg.norm(damaged - damaged[:1], axis=1)
        assert spearmanr(STRENGTHS, moved).statistic >= 0.9, name
        scores = realism(heads, damaged[[0, -1]], k=1)
        assert scores[0] > scores[1], name
