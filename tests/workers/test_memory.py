"""Memory: what a job will need, what is refused before it starts, and the mode that needs less."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from contract.errors import MemoryLimit
from contract.fields import SeedSource
from contract.requests import EncodeRequest, FitDirectionRequest, GenerateRequest
from latents.sample import gaussian
from model_store.card import ModelCard
from model_store.catalogue import Catalogue
from model_store.families.hagan import ServedHAGAN
from model_store.load import load
from tests.support.models.tiny_families import GENERATORS
from tests.support.models.tiny_models import write_tiny_hagan
from workers.bench import Bench
from workers.device.memory import limit_bytes, measured_peak_bytes, peak_bytes
from workers.run import run
from workers.writing.folder_sink import FolderSink

CPU = torch.device("cpu")


@pytest.mark.parametrize("family", GENERATORS)
def test_to_load_a_model_and_know_what_it_needs_costs_no_compiler(tmp_path: Path, family: str) -> None:
    """torch imports its compiler for arithmetic on tensors without values, in the first job of each worker."""
    GENERATORS[family](tmp_path, "m")
    code = (
        "import sys, torch; from pathlib import Path; from model_store.catalogue import Catalogue; "
        "from model_store.load import load; from workers.device.memory import peak_bytes; folder = Path(sys.argv[1]); "
        "card = Catalogue([folder]).card('m'); load(folder / 'm', card); "
        "peak_bytes(card, {'synthesise'}, 'float32', True, torch.device('cpu')); "
        "assert not {'torch._dynamo', 'torch.fx.experimental.symbolic_shapes', 'sympy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, cwd=Path(__file__).parents[2])


def _paper(**fields: object) -> ModelCard:
    """The card of a 256^3 HA-GAN of the paper's width."""
    path = Path(__file__).parents[2] / "model_store" / "demo" / "brain-demo-256" / "card.json"
    card = ModelCard.model_validate_json(path.read_bytes())
    latent = card.latent.model_copy(update={"z_dim": 1024, "w_dim": 1024})
    return card.model_copy(update={"latent": latent, "network": {"width": 32}, "shape": (256, 256, 256), **fields})


def test_a_paper_sized_volume_needs_at_most_1500_mb_in_float32_and_less_in_low_memory() -> None:
    card = _paper()
    usual = peak_bytes(card, {"synthesise"}, "float32", False, CPU)
    frugal = peak_bytes(card, {"synthesise"}, "float32", True, CPU)
    assert frugal < usual - 200e6
    assert 1.0e9 < usual < 1.6e9
    assert peak_bytes(card, {"encode"}, "float32", True, CPU) < peak_bytes(card, {"encode"}, "float32", False, CPU)
    assert peak_bytes(card, {"refine"}, "float32", False, CPU) > usual


def test_a_request_asks_for_what_it_needs_of_the_network() -> None:
    sefa = {"method": "sefa", "name_prefix": "s", "count": 1}
    assert GenerateRequest(model="m", seed=1).tasks(has_encoder=True) == {"synthesise"}
    assert EncodeRequest(model="m").tasks(has_encoder=True) == {"encode"}
    assert EncodeRequest(model="m", reconstruct=True).tasks(has_encoder=True) == {"encode", "synthesise"}
    assert EncodeRequest(model="m", source=SeedSource(seed=1)).tasks(has_encoder=True) == {"encode", "synthesise"}
    assert EncodeRequest(model="m").tasks(has_encoder=False) == {"refine"}
    assert EncodeRequest(model="m", refine_steps=3).tasks(has_encoder=True) == {"refine"}
    assert FitDirectionRequest.model_validate({"model": "m", "fit": sefa}).tasks(has_encoder=True) == set()


@pytest.mark.parametrize("device", ["cpu", "cuda:0"])
def test_a_peak_is_that_of_the_hungriest_task(device: str) -> None:
    card, place = _paper(), torch.device(device)  # an estimate of a card that need not be there
    encode, synthesise, both = (
        peak_bytes(card, tasks, "float32", False, place)
        for tasks in ({"encode"}, {"synthesise"}, {"encode", "synthesise"})
    )
    assert both == max(encode, synthesise)
    assert (synthesise > encode) == (device == "cuda:0")


def test_a_job_that_cannot_fit_is_refused_with_the_figures_before_anything_is_loaded(tmp_path: Path) -> None:
    write_tiny_hagan(tmp_path / "models", "tiny")
    bench = Bench(Catalogue([tmp_path / "models"]), threads=1, limit_bytes=100 * 2**20)
    with pytest.raises(MemoryLimit, match=r"about (\d+) MiB .* may use 100 MiB") as caught:
        run("generate", {"model": "tiny", "seed": 1}, None, bench, FolderSink(tmp_path / "out"))
    figure = re.search(r"about (\d+) MiB", caught.value.detail)
    assert figure is not None
    assert int(figure[1]) > 350
    assert bench.loads == 0
    assert list((tmp_path / "out").iterdir()) == []


def test_models_at_rest_make_room_for_a_job_that_fits_alone(tmp_path: Path) -> None:
    card = write_tiny_hagan(tmp_path, "tiny")
    write_tiny_hagan(tmp_path, "other")
    bench = Bench(Catalogue([tmp_path]), threads=1)
    bench.generator("other")
    bench.generator("tiny")
    bench.limit_bytes = peak_bytes(card, {"synthesise"}, "float32", False, CPU)
    bench.require_memory(GenerateRequest(model="tiny", seed=1))
    assert list(bench.resident()) == ["tiny"]


def test_the_limit_is_the_least_of_setting_and_machine() -> None:
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0 < limit_bytes(CPU) <= machine
    assert limit_bytes(CPU, 12345) == 12345
    assert limit_bytes(CPU, 2 * machine) == limit_bytes(CPU)
    assert measured_peak_bytes(CPU) > 50e6


def test_low_memory_gives_the_same_volume_and_latent(tmp_path: Path) -> None:
    card = write_tiny_hagan(tmp_path, "m", shape=(64, 64, 64))
    usual, frugal = load(tmp_path / "m", card), load(tmp_path / "m", card, low_memory=True)
    assert isinstance(frugal, ServedHAGAN)
    assert frugal.generator.high.slab < 16  # several slabs
    with torch.inference_mode():
        w = usual.map(gaussian(0, 8)[None])
        volume = usual.synthesise(w)
        torch.testing.assert_close(frugal.synthesise(w), volume, rtol=0, atol=5e-5)
        pair = torch.cat([volume, volume.flip(2)])
        torch.testing.assert_close(frugal.encode(pair), usual.encode(pair), rtol=0, atol=1e-4)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device on this machine")
@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16", "float16"])
def test_a_paper_sized_volume_fits_a_4_gb_card_in_low_memory(tmp_path: Path, precision: str) -> None:
    card = write_tiny_hagan(tmp_path, "m", shape=(256, 256, 256), width=32, latent=1024)
    exact, bench = load(tmp_path / "m", card), Bench(Catalogue([tmp_path]), "cuda:0", precision, low_memory=True)
    z = gaussian(0, 1024)[None]
    with torch.inference_mode():
        expected = exact.synthesise(exact.map(z))
        torch.cuda.reset_peak_memory_stats()
        frugal = bench.generator("m")
        found = frugal.synthesise(frugal.map(z)).cpu()
    assert measured_peak_bytes(bench.device) < 3.5 * 2**30
    assert (found - expected).abs().mean() < (1e-4 if precision == "float32" else 0.02)
