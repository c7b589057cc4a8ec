"""Files in which two readers of zips would find two archives: refused, each kind by what gives it away."""

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from model_store.importers.archive import Archive
from model_store.importers.checkpoint import read_claims, read_tensors
from model_store.importers.jail import ImportRefused

END, END64_AND_LOCATOR = 22, 56 + 20


def saved(value: float, count: int = 6) -> bytes:
    """A checkpoint as torch writes it: zip64 records at its end, padding in its local headers."""
    file = io.BytesIO()
    torch.save({"a": torch.full((count,), value)}, file)
    return file.getvalue()


def rezipped(data: bytes, **names: bytes) -> bytes:
    """The same members as Python's zipfile writes them, and more."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(file, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
        for name, content in names.items():
            new.writestr(name, content)
    return file.getvalue()


def test_the_layouts_of_torch_and_of_zipfile_are_read(tmp_path: Path) -> None:
    for data in (saved(1.0), rezipped(saved(1.0))):
        (tmp_path / "x.pth").write_bytes(data)
        assert torch.equal(read_tensors(tmp_path / "x.pth", "x", ["a"])["a"], torch.full((6,), 1.0))


def test_every_type_of_number_and_every_part_of_a_storage_is_read_as_torch_reads_it(tmp_path: Path) -> None:
    whole = torch.arange(24, dtype=torch.float32)
    content = {
        "part": whole[6:12].view(2, 3),
        "shared": whole[12:],
        "empty": torch.zeros(0, 3),
        "scalar": torch.tensor(2.5, dtype=torch.float64),
        **{str(kind): torch.tensor([0, 1, 1], dtype=kind) for kind in (torch.bool, torch.int8, torch.uint8)},
        **{str(kind): torch.tensor([1, -2, 3], dtype=kind) for kind in (torch.int16, torch.int32, torch.int64)},
        **{str(kind): torch.tensor([1.5, -2, 3], dtype=kind) for kind in (torch.float16, torch.bfloat16)},
    }
    torch.save(content, tmp_path / "x.pth")
    found = read_tensors(tmp_path / "x.pth", "x", content)
    for name, tensor in torch.load(tmp_path / "x.pth", weights_only=True).items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


def two_end_records(first: bytes, second: bytes) -> bytes:
    """The locator leads to the first archive's zip64 record, the second one's stands before the locator."""
    head, tail = first[: -END - 20], second[: -END - 20]
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, len(head) - 56, 1)
    return head + tail + locator + second[-END:]


def retold(data: bytes, old: bytes, new: bytes) -> bytes:
    assert old in data
    return data.replace(old, new)


def with_end(data: bytes, **changed: int) -> bytes:
    """The end record with other numbers."""
    names = ("mark", "disk", "first", "here", "count", "length", "start", "comment")
    fields = dict(zip(names, struct.unpack("<4s4H2IH", data[-END:]), strict=True)) | changed
    return data[:-END] + struct.pack("<4s4H2IH", *fields.values())


def directory_of(data: bytes) -> int:
    """Where the central directory begins; of a file of zipfile."""
    return int(struct.unpack("<4s4H2IH", data[-END:])[6])


def with_overlap(data: bytes) -> bytes:
    """The second entry of the directory tells the place of the first member."""
    at = directory_of(data)
    first = struct.unpack_from("<4s6H3I5H2I", data, at)
    second = at + 46 + first[10] + first[11]
    return data[: second + 42] + struct.pack("<I", 0) + data[second + 46 :]


PLAIN = rezipped(saved(1.0))
KINDS: dict[str, Callable[[], bytes]] = {
    "two zip64 end records": lambda: two_end_records(saved(666.0), saved(1.0)),
    "an archive before the archive": lambda: saved(666.0) + saved(1.0),
    "an archive after the archive": lambda: saved(1.0) + saved(666.0),
    "an archive in the comment": lambda: with_end(PLAIN, comment=len(saved(666.0))) + saved(666.0),
    "bytes before": lambda: b"#!/bin/sh\n" + PLAIN,
    "bytes that look like a member before": lambda: PLAIN[:60] + PLAIN,
    "bytes after": lambda: PLAIN + b"\0",
    "bytes between members and directory": lambda: (
        PLAIN[: directory_of(PLAIN)] + b"\0" * 8 + with_end(PLAIN, start=directory_of(PLAIN) + 8)[directory_of(PLAIN) :]
    ),
    "a name twice": lambda: doubled(PLAIN),
    "a member outside the one folder": lambda: rezipped(saved(1.0), **{"other/data/0": b"\0" * 24}),
    "two data.pkl": lambda: rezipped(saved(666.0), **{"other/data.pkl": b"\x80\x02}."}),
    "a name with a NUL": lambda: retold(PLAIN, b"archive/version", b"archive/versio\0"),
    "a name with a backslash": lambda: retold(PLAIN, b"archive/version", b"archive\\version"),
    "another name in the local header": lambda: PLAIN.replace(b"archive/version", b"archive/VERSION", 1),
    "members that overlap": lambda: with_overlap(PLAIN),
    "fewer members told than there are": lambda: with_end(PLAIN, here=2, count=2),
    "another number on this disk": lambda: with_end(PLAIN, here=2),
    "several disks": lambda: with_end(PLAIN, disk=1),
    "saturated numbers without a zip64 record": lambda: with_end(PLAIN, start=0xFFFFFFFF),
    "a zip64 record that disagrees": lambda: with_end(saved(1.0), start=1),
    "a directory longer than told": lambda: with_end(
        PLAIN, start=directory_of(PLAIN) - 4, length=len(PLAIN) - END - directory_of(PLAIN) + 4
    ),
    "a strange property": lambda: PLAIN[:6] + b"\x40\0" + PLAIN[8:],
    "encryption": lambda: flagged(PLAIN, 0x1),
    "strong encryption": lambda: flagged(PLAIN, 0x40),
}


def doubled(data: bytes) -> bytes:
    file = io.BytesIO(data)
    with zipfile.ZipFile(file, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("archive/data/0", b"\1" * 24)
    return file.getvalue()


def flagged(data: bytes, flag: int) -> bytes:
    """The first member with a flag, there and in the directory."""
    at = directory_of(data)
    marked = bytearray(data)
    marked[6] |= flag
    marked[at + 8] |= flag
    return bytes(marked)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_in_which_readers_could_differ_is_refused(tmp_path: Path, kind: str) -> None:
    (tmp_path / "x.pth").write_bytes(KINDS[kind]())
    with pytest.raises(ImportRefused):
        read_claims(tmp_path / "x.pth", "generator")


def test_what_is_used_are_the_bytes_that_were_checked(tmp_path: Path) -> None:
    """Every byte of an archive that is taken belongs to one part of it, so that no second reading has room."""
    for data in (saved(1.0), PLAIN):
        (tmp_path / "x.pth").write_bytes(data)
        with (tmp_path / "x.pth").open("rb") as file, zipfile.ZipFile(io.BytesIO(data)) as judge:
            archive = Archive(file, "x")
            assert {name: archive.read(member) for name, member in archive.members.items()} == {
                name: judge.read(name) for name in judge.namelist()
            }


def test_a_flipped_bit_anywhere_is_refused_or_changes_nothing(tmp_path: Path) -> None:
    data = saved(1.0, 3)
    (tmp_path / "x.pth").write_bytes(data)
    want = read_tensors(tmp_path / "x.pth", "x", ["a"])["a"]
    for place in range(len(data)):
        (tmp_path / "x.pth").write_bytes(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
        try:
            found = read_tensors(tmp_path / "x.pth", "x", ["a"])
        except ImportRefused:
            continue
        assert torch.equal(found["a"], want), place
