"""What holds for a whole worker process: its memory between volumes, its threads, the precisions it may take."""

import subprocess
import sys

import pytest
import SimpleITK as sitk  # noqa: N813
import torch

from jobs.settings import Settings
from model_store.catalogue import Catalogue
from workers.device.precision import bfloat16_gain, warnings_of
from workers.main import bench_of

FAULTS = """
import resource
import numpy as np
from workers.device.allocator import keep_freed_memory, return_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        np.ones(2**22)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    return int(open("/proc/self/statm").read().split()[1])

usual = faults()
keep_freed_memory()
faults()
kept, held = faults(), resident()
return_freed_memory()
print(usual, kept, held - resident())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="of glibc alone")
def test_freed_memory_is_used_again_without_page_faults_and_can_be_given_back() -> None:
    command = [sys.executable, "-c", FAULTS]
    environment = {"NUMPY_MADVISE_HUGEPAGE": "0"}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    usual, kept, returned_pages = map(int, done.stdout.split())
    assert usual > 4 * 8000
    assert kept < usual / 10
    assert returned_pages > 8000


def test_the_threads_setting_holds_for_resampling_too() -> None:
    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    threads = torch.get_num_threads()
    try:
        bench_of(Settings(threads=1), Catalogue([]))
        assert sitk.ProcessObject.GetGlobalDefaultNumberOfThreads() == torch.get_num_threads() == 1
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)
        torch.set_num_threads(threads)


@pytest.mark.parametrize("precision", ["float16", "tf32"])
def test_precisions_of_cuda_alone_are_refused_on_the_cpu(precision: str) -> None:
    with pytest.raises(ValueError, match=f"{precision} needs a CUDA device"):
        bench_of(Settings(precision=precision), Catalogue([]))


def test_bfloat16_is_warned_of_where_it_saves_no_time() -> None:
    assert not list(warnings_of("cpu", "float32"))
    told = list(warnings_of("cpu", "bfloat16"))
    features = torch.cpu.get_capabilities()
    if not any(features.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16")):
        assert "emulates" in told[0]
    elif bfloat16_gain() > 1.6:
        assert not told
    elif bfloat16_gain() < 0.9:
        assert "it saves memory here, not time" in told[0]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device on this machine")
def test_tf32_is_on_only_where_it_was_asked_for() -> None:
    for precision, expected in (("tf32", True), ("float32", False)):
        bench_of(Settings(device="cuda:0", precision=precision), Catalogue([]))  # type: ignore[arg-type]
        assert torch.backends.cudnn.allow_tf32 is expected
        assert torch.backends.cuda.matmul.allow_tf32 is expected
