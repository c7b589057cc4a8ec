"""Hostile and damaged 3D-StyleGAN pickles: refused with the reason, nothing executed, nothing left behind.

Holders are made without executing anything, so most of these run in this process; what claims memory runs in the jail.
"""

import contextlib
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from model_store.importers.jail import ImportRefused, Limits
from model_store.importers.stylegan3d import import_stylegan3d
from model_store.importers.stylegan3d_pickle import read_networks
from tests.support.models.stylegan3d_pickles import FLOAT_STATE, Call, Global, Network, dumps, generator, snapshot

PROTO = b"\x80\x05"
FROM_BUFFER = Global("numpy.core.numeric", "_frombuffer")
SCALAR = Global("numpy.core.multiarray", "scalar")
RECONSTRUCT = Global("numpy.core.multiarray", "_reconstruct")
F4 = Call(Global("numpy", "dtype"), ("f4", False, True))


class Run:
    """Pickles as a call."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> object:
        return self.call


def _refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "x.pkl").write_bytes(content)
    with pytest.raises(ImportRefused, match=message):
        read_networks(tmp_path / "x.pkl")


def _nested(tmp_path: Path, value: object) -> bytes:
    """A sound pickle with something inside the build arguments of a network within a network."""
    variables = generator()
    variables.arguments["hooks"] = {"deep": [(value,)]}
    return snapshot(variables)


def test_hostile_pickle_is_refused_by_name_and_never_run(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    (tmp_path / "x.pkl").write_bytes(_nested(tmp_path, Run(os.system, f"touch {ran}")))
    with pytest.raises(ImportRefused, match=r"asks for posix\.system.* executed"):
        import_stylegan3d("x", tmp_path / "x.pkl", tmp_path / "models")
    assert [*(tmp_path / "models").iterdir()] == []
    for value, name in (
        (Run(eval, f"open({str(ran)!r}, 'w')"), r"builtins\.eval"),
        (Run(getattr, "x", "upper"), r"builtins\.getattr"),
        (Run(os.replace, "a", "b"), r"posix\.replace"),
        (Call(Global("dnnlib.tflib.network", "os.system"), (f"touch {ran}",)), r"asks for dnnlib\.tflib\.network\.os"),
        (
            Call(Global("numpy.core.multiarray", "scalar.__globals__"), ()),
            r"asks for numpy\.core\.multiarray\.scalar\.",
        ),
        (Call(Global("numpy", "load"), ("x",)), r"asks for numpy\.load"),
        (Call(Global("torch.hub", "load"), ("x",)), r"asks for torch\.hub\.load"),
        (Call(Global("collections", "OrderedDict.fromkeys"), ([],)), r"asks for collections\.OrderedDict\.fromkeys"),
        (Global("a\x1b[2J", "b" * 500), r"asks for a\?\[2J\.b+, "),
    ):
        _refused(tmp_path, _nested(tmp_path, value), name)
        _refused(tmp_path, dumps(value), name)
    assert not ran.exists()


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol_asks_at_the_same_door(tmp_path: Path, protocol: int) -> None:
    _refused(tmp_path, dumps([Run(os.system, "true")], protocol), r"asks for (posix|nt)\.system")
    _refused(tmp_path, b"\x80\x02cos\nsystem\n(S'true'\ntR.", r"asks for os\.system")
    _refused(tmp_path, b"\x80\x02(S'true'\nios\nsystem\n.", r"asks for os\.system")


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x02\x82\x01.",  # a class from the extension registry
        PROTO + b"Pid\n.",  # an object outside the pickle
        PROTO + b"N\x97.",  # a buffer outside the pickle
    ],
)
def test_opcode_that_points_outside_the_file_is_refused(tmp_path: Path, content: bytes) -> None:
    _refused(tmp_path, content, "pickle file is damaged")


@pytest.mark.parametrize(
    "value",
    [
        Call(FROM_BUFFER, (bytearray(4), F4, (1 << 31, 1 << 31), "C")),
        Call(FROM_BUFFER, (bytearray(4), F4, (2,), "C")),
        Call(FROM_BUFFER, (bytearray(4), F4, (1 << 70,), "C")),
        Call(FROM_BUFFER, (bytearray(4), F4, (-1, -1), "C")),
        Call(FROM_BUFFER, (bytearray(4), F4, (True,), "C")),
        Call(FROM_BUFFER, (bytearray(4), F4, (1,) * 50, "C")),
        Call(FROM_BUFFER, (bytearray(4), F4, [1], "C")),
        Call(FROM_BUFFER, (bytearray(4), "f4", (1,), "C")),
        Call(FROM_BUFFER, (bytearray(4),)),
        Call(SCALAR, (F4, b"")),
        Call(SCALAR, (F4, {})),
        Call(SCALAR, (Call(Global("numpy", "dtype"), ("O8", False, True)), b"12345678")),
        Call(Global("numpy", "dtype"), ("f999999", False, True)),
        Call(Global("numpy", "dtype"), ([("a", "f4")], False, True)),
        Call(RECONSTRUCT, (Global("collections", "OrderedDict"), (0,), b"b")),
        Call(Global("numpy", "ndarray"), ((1 << 40,),)),
        Call(Global("dnnlib.tflib.network", "Network"), ("argument",)),
        Call(Global("dnnlib.util", "EasyDict"), (7,)),
        Network(7),  # type: ignore[arg-type]
    ],
    ids=str,
)
def test_array_that_cannot_be_is_refused(tmp_path: Path, value: object) -> None:
    _refused(tmp_path, _nested(tmp_path, value), "pickle file is damaged|not a dictionary")


def test_big_endian_numbers_are_refused(tmp_path: Path) -> None:
    swapped = snapshot(generator()).replace(b"\x8c\x01<", b"\x8c\x01>", 1)
    assert swapped != snapshot(generator())
    _refused(tmp_path, swapped, "type that no such network has")
    assert FLOAT_STATE[1] == "<"


def test_damaged_downloads_are_called_damaged(tmp_path: Path) -> None:
    sound = snapshot(generator())
    for content in (sound[: len(sound) // 2], sound[:-1], b"<!DOCTYPE html>", b"\0" * 100, PROTO, b"(dp0\n."):
        _refused(tmp_path, content, "pickle file is damaged")
    _refused(tmp_path, b"", "empty")
    _refused(tmp_path, b"PK\x03\x04" + bytes(60), "zip archive")
    with pytest.raises(ImportRefused, match="does not exist"):
        read_networks(tmp_path / "none.pkl")


@pytest.mark.parametrize("place", range(0, 100, 9))
def test_flipped_bytes_never_do_more_than_refuse(tmp_path: Path, place: int) -> None:
    """Many places near the structure; most flips break it, some only change a number."""
    sound = snapshot(generator(widths=(2, 2)))
    for step in range(20):
        flipped = bytearray(sound)
        flipped[(place * 977 + step * 7919) % len(sound)] ^= 0xFF
        (tmp_path / "x.pkl").write_bytes(flipped)
        with contextlib.suppress(ImportRefused):
            assert len(read_networks(tmp_path / "x.pkl")) == 3


def test_deep_nesting_and_shared_references_cost_nothing(tmp_path: Path) -> None:
    ten_times = b"".join(b"]\x94(" + (b"h" + bytes([k])) * 10 + b"e" for k in range(60))
    laughs = PROTO + b"]\x94" + ten_times + b"."
    _refused(tmp_path, laughs, "no tuple")
    _refused(tmp_path, PROTO + b"]" * 100_000 + b"a" * 99_999 + b".", "no tuple")


@pytest.mark.parametrize(
    "bomb",
    [
        PROTO + b"\x96" + struct.pack("<Q", 1 << 36) + b".",  # a byte array of 64 GB that the file does not hold
        PROTO + b"}r" + struct.pack("<I", 2**31) + b".",  # a memo index that asks for 34 GB
    ],
    ids=["byte array", "memo"],
)
def test_pickle_that_claims_memory_is_stopped_by_the_jail(tmp_path: Path, bomb: bytes) -> None:
    (tmp_path / "x.pkl").write_bytes(bomb)
    with pytest.raises(ImportRefused, match="more memory"):
        import_stylegan3d("x", tmp_path / "x.pkl", tmp_path / "models", limits=Limits(memory_bytes=1 << 30))
    assert [*(tmp_path / "models").iterdir()] == []


def test_pickle_protocol_of_tomorrow_is_refused(tmp_path: Path) -> None:
    assert pickle.HIGHEST_PROTOCOL < 99
    _refused(tmp_path, b"\x80\x63N.", "pickle file is damaged")
