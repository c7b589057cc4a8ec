"""Which series of an archive is meant. What is told of the others says nothing of a patient."""

from collections.abc import Sequence
from dataclasses import dataclass

from volumes.dicom.images import Frame, Image
from volumes.volume import VolumeError

MOST_TOLD = 20
NONE = "There are no DICOM images in it. Send the one volume in it by itself, or pack the images of one series."


@dataclass(frozen=True)
class Series:
    """Images with one Series Instance UID. `number`: by which it is chosen."""

    number: int
    images: tuple[Image, ...]

    @property
    def first(self) -> Image:
        return self.images[0]

    @property
    def frames(self) -> tuple[Frame, ...]:
        return tuple(frame for image in self.images for frame in image.frames)

    @property
    def told(self) -> str:
        """Such as "2 (MR, 120 images of 256 x 256)"."""
        count = len(self.frames)
        noun = "image" if count == 1 else "images"
        return f"{self.number} ({self.first.modality}, {count} {noun} of {self.first.columns} x {self.first.rows})"


def chosen(images: Sequence[Image], number: int | None) -> Series:
    """The series of that number, or the only one.

    Raises:
        VolumeError: none, several of which none is chosen, or no such number; it lists those that are there.
    """
    there = _series(images)
    if not there:
        raise VolumeError(NONE)
    if number is None and len(there) == 1:
        return there[0]
    listed = "; ".join(series.told for series in there[:MOST_TOLD]) + ("; ..." if len(there) > MOST_TOLD else "")
    if number is None:
        raise VolumeError(f"It holds {len(there)} series: choose one by its number, as series: {listed}.")
    for series in there:
        if series.number == number:
            return series
    raise VolumeError(f"It holds no series of that number, but: {listed}.")


def _series(images: Sequence[Image]) -> list[Series]:
    """By number. A series that has none, or one that another has too, gets the next free one."""
    groups: dict[str, list[Image]] = {}
    for image in images:
        groups.setdefault(image.series, []).append(image)
    numbers = [group[0].number for group in groups.values()]
    free = max((number for number in numbers if number is not None), default=0) + 1
    found = []
    for _, group in sorted(groups.items()):
        number = group[0].number
        if number is None or number < 0 or numbers.count(number) > 1:
            number, free = free, free + 1
        found.append(Series(number, tuple(group)))
    return sorted(found, key=lambda series: series.number)
