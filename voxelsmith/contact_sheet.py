"""One picture of many: previews in a grid, each with its caption."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageDraw

_CAPTION_PX = 18
_GAP_PX = 6


def write_contact_sheet(path: Path, previews: Sequence[tuple[str, bytes]], columns: int = 2) -> None:
    """As contact_sheet(), into a file."""
    path.write_bytes(contact_sheet(previews, columns))


def contact_sheet(previews: Sequence[tuple[str, bytes]], columns: int = 2) -> bytes:
    """A PNG. `previews`: (caption, PNG) each; left to right, then down. Raises: ValueError where there are none."""
    if not previews:
        raise ValueError("a contact sheet needs at least one preview")
    pictures = [(caption, Image.open(BytesIO(data)).convert("RGB")) for caption, data in previews]
    columns = min(columns, len(pictures))
    width = max(picture.width for _, picture in pictures) + _GAP_PX
    height = max(picture.height for _, picture in pictures) + _CAPTION_PX + _GAP_PX
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * width + _GAP_PX, rows * height + _GAP_PX), "black")
    draw = ImageDraw.Draw(sheet)
    for k, (caption, picture) in enumerate(pictures):
        left, top = _GAP_PX + k % columns * width, _GAP_PX + k // columns * height
        draw.text((left, top + 2), caption, fill="white")
        sheet.paste(picture, (left, top + _CAPTION_PX))
    file = BytesIO()
    sheet.save(file, "PNG")
    return file.getvalue()
