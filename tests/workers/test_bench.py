"""The bench: what stays resident, what goes out, and what happens when memory or a model fails."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from contract.errors import GpuOutOfMemory, ModelBroken, OutOfMemory, UnknownModel
from model_store.card import WEIGHTS
from model_store.catalogue import Catalogue
from tests.support.models.tiny_models import write_card, write_tiny_hagan
from workers.bench import Bench


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for name in ("tiny", "cut", "fixed"):
        write_tiny_hagan(folder, name)
    write_tiny_hagan(folder, "classes", classes=("mild", "severe"))
    return folder


@pytest.fixture
def bench(models):
    return Bench(Catalogue([models]), threads=1)


def test_a_resident_model_is_not_loaded_again(bench):
    assert bench.generator("tiny") is bench.generator("tiny")
    assert bench.loads == 1


def test_the_model_used_least_recently_goes_out_first(models):
    size = Bench(Catalogue([models])).generator("tiny").size_bytes
    bench = Bench(Catalogue([models]), memory_bytes=int(2.5 * size))
    for name in ("tiny", "cut", "tiny", "fixed"):
        bench.generator(name)
    assert list(bench.resident()) == ["tiny", "fixed"]
    bench.release(keep="fixed")
    assert list(bench.resident()) == ["fixed"]


def test_one_model_stays_however_small_the_budget(models):
    bench = Bench(Catalogue([models]), memory_bytes=0)
    bench.generator("tiny")
    bench.generator("cut")
    assert list(bench.resident()) == ["cut"]


def test_a_replaced_model_is_loaded_anew(tmp_path):
    first = write_tiny_hagan(tmp_path / "a", "model", seed=1)
    bench = Bench(Catalogue([tmp_path / "a"]))
    assert bench.generator("model").card == first
    for file in (tmp_path / "a" / "model").iterdir():
        file.unlink()
    (tmp_path / "a" / "model").rmdir()
    second = write_tiny_hagan(tmp_path / "a", "model", seed=2)
    assert bench.generator("model").card == second
    assert bench.loads == 2


def test_unknown_and_broken_models_have_their_own_errors(tmp_path):
    card = write_tiny_hagan(tmp_path, "hollow")
    weights = tmp_path / "hollow" / WEIGHTS
    tensors = load_file(weights)
    tensors.pop("generator.common.fc1.bias")
    save_file(tensors, weights)
    write_card(tmp_path / "hollow", card)
    write_tiny_hagan(tmp_path, "widthless", network={"width": 5})
    bench = Bench(Catalogue([tmp_path]))
    with pytest.raises(UnknownModel):
        bench.generator("nobody")
    with pytest.raises(ModelBroken, match="width"):
        bench.generator("widthless")  # the catalogue's to say
    assert list(bench.faults) == []
    with pytest.raises(ModelBroken, match="lacks 1 tensors"):
        bench.generator("hollow")
    assert "lacks 1 tensors" in bench.catalogue.broken()["hollow"]
    assert bench.faults["hollow"]["card"] == Catalogue([tmp_path]).card("hollow").fingerprint


def test_warming_up_renders_conditional_models_too(bench):
    bench.warm_up("classes")
    assert list(bench.resident()) == ["classes"]


def test_lack_of_memory_puts_out_other_models_and_tries_once_more(bench):
    bench.generator("tiny")
    bench.generator("cut")
    tries = []

    def step() -> str:
        tries.append(list(bench.resident()))
        if len(tries) == 1:
            torch.empty(2**60)
        return "done"

    assert bench.attempt(step, keep="cut") == "done"
    assert tries == [["tiny", "cut"], ["cut"]]
    with pytest.raises(OutOfMemory):
        bench.attempt(lambda: torch.empty(2**60))
    assert bench.resident() == {}


def test_float16_needs_a_cuda_device(models):
    with pytest.raises(ValueError, match="float16"):
        Bench(Catalogue([models]), precision="float16")


def test_a_warm_up_that_finds_no_memory_is_tried_once_more_and_then_says_so(bench):
    short = []

    def stumble(module, _inputs):
        if isinstance(module, torch.nn.Conv3d) and short:
            raise torch.OutOfMemoryError(short.pop())

    hook = torch.nn.modules.module.register_module_forward_pre_hook(stumble)
    try:
        short[:] = ["CUDA out of memory."]
        bench.warm_up("tiny")
        assert list(bench.resident()) == ["tiny"]
        short[:] = ["CUDA out of memory."] * 2
        with pytest.raises(GpuOutOfMemory):
            bench.warm_up("tiny")
    finally:
        hook.remove()
