"""python -m service.schema FILE FORMATS: for the page, the shapes that /openapi.json describes, and the formats."""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from jobs.settings import Settings
from service.app import create_app
from volumes.formats import READABLE, WRITTEN


def main() -> None:
    """Writes the two files named on the command line."""
    if len(sys.argv) != 3:
        sys.exit("usage: python -m service.schema FILE FORMATS")
    Path(sys.argv[1]).write_text(text_of(schema()), encoding="utf-8")
    Path(sys.argv[2]).write_text(formats_text(), encoding="utf-8")


def schema() -> dict[str, Any]:
    """The schema of a service that is never started."""
    with tempfile.TemporaryDirectory() as folder:
        return create_app(Settings(store_url=Path(folder).as_uri())).openapi()


def text_of(document: dict[str, Any]) -> str:
    """Indented, so that a changed contract shows as changed lines; without its prose, which changes nothing."""
    return json.dumps(_without_prose(document), indent=1, ensure_ascii=False) + "\n"


def formats_text() -> str:
    """The table of formats as the page's module."""
    read = "".join(f"  {json.dumps(ending)},\n" for ending in READABLE)
    written = "".join(f"  {json.dumps([row.name, f'{row.title} ({row.endings[0]})'])},\n" for row in WRITTEN)
    return (
        "// Made by `npm run api` from volumes/formats.py: the endings that are read; what is written, and its title.\n"
        f"export const READABLE = [\n{read}] as const;\n"
        f"export const WRITTEN = [\n{written}] as const;\n"
    )


def _without_prose(part: Any) -> Any:
    if isinstance(part, list):
        return [_without_prose(entry) for entry in part]
    if isinstance(part, dict):
        prose = {key for key in ("title", "summary", "description") if isinstance(part.get(key), str)}
        return {key: _without_prose(value) for key, value in part.items() if key not in prose}
    return part


if __name__ == "__main__":
    main()
