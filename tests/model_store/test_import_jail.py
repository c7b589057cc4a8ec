"""Hostile and damaged checkpoint files: refused with the reason, nothing executed, nothing left behind.

Claims are read without executing or loading anything, so most of these run in this process.
"""

import os
import pickle
import socket
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from model_store.importers.checkpoint import read_claims, read_tensors
from model_store.importers.hagan import import_hagan
from model_store.importers.jail import ImportRefused, Limits, run_jailed


def _small(**changes: object) -> dict[str, object]:
    return OrderedDict({"module.a": torch.arange(6.0).view(2, 3), "module.b": torch.zeros(4), **changes})


def test_bare_state_is_read_with_and_without_prefix(tmp_path: Path) -> None:
    torch.save(_small(), tmp_path / "x.pth")
    assert {name: claim.shape for name, claim in read_claims(tmp_path / "x.pth", "x").items()} == {
        "a": (2, 3),
        "b": (4,),
    }
    assert torch.equal(read_tensors(tmp_path / "x.pth", "x", ["a"])["a"], torch.arange(6.0).view(2, 3))
    torch.save({"a": torch.zeros(2)}, tmp_path / "y.pth")
    assert list(read_claims(tmp_path / "y.pth", "x")) == ["a"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"model": _small(), "b": torch.zeros(4)}, "beside it"),
        (_small(a=torch.zeros(2)), "with and without the prefix"),
        ({"weights": _small()}, "no 'model' entry"),
        ({"model": {"module.a": 1}}, "no 'model' entry"),
        ({"model": torch.zeros(2)}, "no 'model' entry|beside it"),
        ([torch.zeros(2)], "no dictionary"),
        ({}, "no dictionary"),
        ({"model": _small(c=torch.zeros(1).expand(40_000_000_000))}, "repeats values"),
        ({"model": _small(c=torch.zeros(6).as_strided((4, 3), (1, 1)))}, "repeats values"),
        ({"model": _small(), "epoch": torch.device("cpu")}, r"asks for torch\.device"),
        ({"model": _small(c=torch.zeros(2, dtype=torch.complex64))}, r"asks for torch\.ComplexFloatStorage"),
    ],
)
def test_checkpoint_with_unclear_or_excessive_content_is_refused(tmp_path: Path, content: object, message: str) -> None:
    torch.save(content, tmp_path / "x.pth")
    assert (tmp_path / "x.pth").stat().st_size < 5000
    with pytest.raises(ImportRefused, match=message):
        read_claims(tmp_path / "x.pth", "generator")


def _rewrite(path: Path, change: Callable[[str, bytes], bytes], compression: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, change(name, content))


def test_deflated_checkpoint_is_refused(tmp_path: Path) -> None:
    torch.save({"model": {"module.a": torch.zeros(1_000_000)}}, tmp_path / "x.pth")
    _rewrite(tmp_path / "x.pth", lambda _, content: content, zipfile.ZIP_DEFLATED)
    with pytest.raises(ImportRefused, match="compressed"):
        read_claims(tmp_path / "x.pth", "generator")


def test_storage_that_claims_more_than_the_file_holds_is_refused(tmp_path: Path) -> None:
    torch.save({"model": {"module.a": torch.zeros(77777)}}, tmp_path / "x.pth")
    count, huge = b"J" + struct.pack("<i", 77777), b"J" + struct.pack("<i", 2**31 - 1)
    _rewrite(
        tmp_path / "x.pth", lambda name, content: content.replace(count, huge) if name.endswith("pkl") else content
    )
    with pytest.raises(ImportRefused, match=r"damaged.*2147483647 values"):
        read_claims(tmp_path / "x.pth", "generator")


def test_damaged_downloads_are_called_damaged(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    torch.save({"model": {"module.a": torch.rand(5000)}}, path)
    sound = path.read_bytes()
    flipped = bytearray(sound)
    flipped[len(sound) // 2] ^= 1
    for content in (
        sound[: len(sound) // 2],
        sound[:-30],
        bytes(flipped),
        b"<!DOCTYPE html>",
        b"\0" * 100,
        b"\x80\x02",
    ):
        path.write_bytes(content)
        with pytest.raises(ImportRefused, match="generator file is damaged"):
            read_claims(path, "generator")
    path.write_bytes(b"")
    with pytest.raises(ImportRefused, match="empty"):
        read_claims(path, "generator")


class _Touch:
    """Pickles as a call that makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> object:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("zipped", [True, False])
def test_hostile_pickle_is_refused_by_name_and_never_run(tmp_path: Path, zipped: bool) -> None:
    content = {"model": {"module.a": torch.zeros(2)}, "optimizer": _Touch(tmp_path / "ran")}
    torch.save(content, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(ImportRefused, match=r"asks for posix\.system.* executed"):
        import_hagan("lungs", tmp_path / "x.pth", tmp_path / "models", resolution=128)
    (tmp_path / "bare.pth").write_bytes(pickle.dumps(_Touch(tmp_path / "ran")))
    with pytest.raises(ImportRefused, match=r"asks for posix\.system"):
        read_claims(tmp_path / "bare.pth", "generator")
    assert not (tmp_path / "ran").exists()
    assert [*(tmp_path / "models").iterdir()] == []


def test_pickle_that_claims_memory_is_stopped_by_the_jail(tmp_path: Path) -> None:
    """A memo index near 2^31 makes the C unpickler ask for 34 GB."""
    torch.save({"model": {"module.a": torch.zeros(2)}}, tmp_path / "x.pth")
    bomb = b"\x80\x02}r" + struct.pack("<I", 2**31) + b"."
    _rewrite(tmp_path / "x.pth", lambda name, content: bomb if name.endswith("pkl") else content)
    with pytest.raises(ImportRefused, match="more memory"):
        import_hagan("lungs", tmp_path / "x.pth", tmp_path / "models", resolution=128)


def test_non_finite_weights_are_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.tensor([1.0, float("nan")])}, tmp_path / "x.pth")
    with pytest.raises(ImportRefused, match="not finite in a"):
        read_tensors(tmp_path / "x.pth", "generator", ["a"])


READER = "tests.support.jail_readers"


def test_jail_bounds_memory_files_time_and_processes(tmp_path: Path) -> None:
    limits = Limits(memory_bytes=1 << 30, file_bytes=1 << 20, cpu_s=1)
    for do in ("memory", "file", "time"):
        with pytest.raises(ImportRefused, match="more memory, time or disk"):
            run_jailed(READER, {"do": do, "path": str(tmp_path / "big")}, limits)
    with pytest.raises(ImportRefused, match="tried to run code"):
        run_jailed(READER, {"do": "process"})
    with pytest.raises(ImportRefused, match="reading it failed"):
        run_jailed(READER, {"do": "die"})
    with pytest.raises(ImportRefused, match="more memory, time or disk"):
        run_jailed(READER, {"do": "time"}, Limits(wall_s=0.5))


def test_jail_has_no_network_and_no_environment() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        with pytest.raises(ImportRefused):
            run_jailed(READER, {"do": "socket", "port": server.getsockname()[1]})
        server.settimeout(0.2)
        with pytest.raises(TimeoutError):
            server.accept()
    names = run_jailed(READER, {"do": "environment"})["names"]
    assert set(names) <= {"PYTHONPATH", "OMP_NUM_THREADS", "PATH", "CUDA_VISIBLE_DEVICES", "LC_CTYPE"}
