"""The one reader of the container that torch.save writes: a zip of stored members. Runs in the jail only.

Two readers may find two archives in one file: behind two end records, before or after foreign bytes, under a name that
is there twice, by a zip64 record that only one of them believes. So nothing is searched for here. One layout is taken,
each byte of the file belonging to exactly one part of it; every other file is refused.
Source: APPNOTE.TXT of PKWARE, 6.3.10, sections 4.3.7 to 4.3.16.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from model_store.importers.jail import ImportRefused

MAX_MEMBERS = 4096
LOCAL = b"PK\x03\x04"
_CENTRAL, _END, _END64, _LOCATOR, _DESCRIPTOR = (
    b"PK\x01\x02",
    b"PK\x05\x06",
    b"PK\x06\x06",
    b"PK\x06\x07",
    b"PK\x07\x08",
)
_LOCAL_FIELDS = struct.Struct("<4s5H3I2H")
_CENTRAL_FIELDS = struct.Struct("<4s6H3I5H2I")
_END_FIELDS = struct.Struct("<4s4H2IH")
_END64_FIELDS = struct.Struct("<4sQ2H2I4Q")
_LOCATOR_FIELDS = struct.Struct("<4sIQI")
_ENCRYPTED, _HAS_DESCRIPTOR, _IS_UTF8 = 0x1, 0x8, 0x800
_NONE, _NONE16 = 0xFFFFFFFF, 0xFFFF
"""What stands for "see the zip64 record"."""
_PIECE_BYTES = 2**20


@dataclass(frozen=True)
class Member:
    """A stored member: where its bytes lie in the file."""

    name: str
    start: int
    size_bytes: int
    crc: int


@dataclass(frozen=True)
class _Entry:
    """A member as the central directory has it."""

    name: bytes
    flags: int
    crc: int
    size_bytes: int
    header_at: int


def damaged(role: str, what: str) -> ImportRefused:
    """The refusal for bytes that are not what torch.save wrote."""
    return ImportRefused(f"The {role} file is damaged: {what}. Download or copy it again.")


class Archive:
    """The members of an open file, by name."""

    def __init__(self, file: BinaryIO, role: str) -> None:
        """Reads headers alone. Raises: ImportRefused for any layout but the one."""
        self._file, self._role = file, role
        self._size_bytes = os.fstat(file.fileno()).st_size
        count, start, end = self._directory()
        entries = sorted(self._entries(count, start, end), key=lambda entry: entry.header_at)
        ends = [*(entry.header_at for entry in entries[1:]), start]
        if entries and entries[0].header_at != 0:
            raise self._odd("it has bytes before its first member")
        found = [self._member(entry, end) for entry, end in zip(entries, ends, strict=True)]
        self.members = {member.name: member for member in found}
        if len(self.members) != len(found):
            raise ImportRefused(f"The {role} file is not a checkpoint: two members have the same name.")

    def read(self, member: Member, start: int = 0, end: int | None = None) -> bytes:
        """The bytes [start, end) of a member. Raises: ImportRefused where the file has become shorter."""
        end = member.size_bytes if end is None else end
        return self._at(member.start + start, end - start)

    def check_sums(self) -> None:
        """Reads every member. Raises: ImportRefused where one does not have its checksum."""
        for member in self.members.values():
            crc = 0
            for at in range(0, member.size_bytes, _PIECE_BYTES):
                crc = zlib.crc32(self.read(member, at, min(at + _PIECE_BYTES, member.size_bytes)), crc)
            if crc != member.crc:
                raise damaged(self._role, "a checksum does not match")

    def _directory(self) -> tuple[int, int, int]:
        """Number of members, start and end of the central directory, which the end records follow at once."""
        end = self._size_bytes - _END_FIELDS.size
        if end < 0 or self._at(end, 4) != _END:
            raise damaged(self._role, "it is cut short, or something was added to its end")
        _, *disks, on_disk, count, length, start, comment = _END_FIELDS.unpack(self._at(end, _END_FIELDS.size))
        locator_at = end - _LOCATOR_FIELDS.size
        if locator_at >= _END64_FIELDS.size and self._at(locator_at, 4) == _LOCATOR:
            end = locator_at - _END64_FIELDS.size
            small, large = (on_disk, count, length, start), self._large(end, locator_at)
            saturated = (_NONE16, _NONE16, _NONE, _NONE)
            if any(one not in (big, none) for one, big, none in zip(small, large, saturated, strict=True)):
                raise self._odd("its two end records disagree")
            on_disk, count, length, start = large
        if any(disks) or comment or on_disk != count or start + length != end:
            raise self._odd("its directory does not end where its end record begins")
        if count > MAX_MEMBERS:
            raise ImportRefused(f"The {self._role} file is not a checkpoint: too many members.")
        return count, start, end

    def _large(self, at: int, locator_at: int) -> tuple[int, int, int, int]:
        """Of the zip64 end record: members on this disk, members, length and start of the directory."""
        _, disk, told, disks = _LOCATOR_FIELDS.unpack(self._at(locator_at, _LOCATOR_FIELDS.size))
        mark, size, _, _, *here, on_disk, count, length, start = _END64_FIELDS.unpack(self._at(at, _END64_FIELDS.size))
        is_there = (mark, told, size) == (_END64, at, _END64_FIELDS.size - 12)
        if not is_there or (disk, disks, *here) != (0, 1, 0, 0):
            raise self._odd("its zip64 record is not where it should be")
        return on_disk, count, length, start

    def _entries(self, count: int, start: int, end: int) -> Iterator[_Entry]:
        directory, at = self._at(start, end - start), 0
        for _ in range(count):
            name_at = at + _CENTRAL_FIELDS.size
            if name_at > len(directory):
                raise self._odd("its directory is too short")
            fields = _CENTRAL_FIELDS.unpack_from(directory, at)
            mark, _, _, flags, method, _, _, crc, packed, size, name, extra, comment, disk, _, _, header_at = fields
            at = name_at + name + extra + comment
            if mark != _CENTRAL or at > len(directory) or disk or comment or _NONE in (packed, size, header_at):
                raise self._odd("its directory is not that of one plain archive")
            if method or packed != size or flags & _ENCRYPTED:
                raise ImportRefused(f"The {self._role} file has compressed members, which torch.save never writes.")
            if flags & ~(_HAS_DESCRIPTOR | _IS_UTF8):
                raise self._odd("a member of it has unknown properties")
            yield _Entry(directory[name_at : name_at + name], flags, crc, size, header_at)
        if at != len(directory):
            raise self._odd("its directory is too long")

    def _member(self, entry: _Entry, end: int) -> Member:
        """`end`: where the next member or the directory begins."""
        fields = _LOCAL_FIELDS.unpack(self._at(entry.header_at, _LOCAL_FIELDS.size))
        mark, _, flags, method, _, _, crc, packed, size, name_bytes, extra_bytes = fields
        start = entry.header_at + _LOCAL_FIELDS.size + name_bytes + extra_bytes
        known = (entry.crc, entry.size_bytes, entry.size_bytes)
        later = bool(flags & _HAS_DESCRIPTOR)
        if (mark, flags, method) != (LOCAL, entry.flags, 0) or not (
            (crc, packed, size) == known or (later and (crc, packed, size) == (0, 0, 0))
        ):
            raise self._odd("a member and its entry in the directory disagree")
        if self._at(entry.header_at + _LOCAL_FIELDS.size, name_bytes) != entry.name:
            raise self._odd("a member and its entry in the directory have two names")
        # A descriptor: crc and two sizes of 4 or 8 bytes, with or without its mark.
        if end - start - entry.size_bytes not in ((12, 16, 20, 24) if later else (0,)):
            raise self._odd("it has bytes between its members, or members that overlap")
        return Member(self._name(entry.name), start, entry.size_bytes, entry.crc)

    def _name(self, name: bytes) -> str:
        try:
            text = name.decode("utf-8")
        except UnicodeDecodeError as err:
            raise self._odd("a member of it has a name that is no text") from err
        if not text.isprintable() or "\\" in text:
            raise self._odd("a member of it has a name that is no text")
        return text

    def _at(self, at: int, size: int) -> bytes:
        if at < 0 or size < 0:
            raise self._odd("it points outside itself")
        self._file.seek(at)
        data = self._file.read(size)
        if len(data) != size:
            raise damaged(self._role, "it is cut short")
        return data

    def _odd(self, what: str) -> ImportRefused:
        return ImportRefused(
            f"The {self._role} file is not an archive as torch.save writes it: {what}. It is damaged or hostile."
        )
