"""The page's sources, as far as they can be held to their word without Node."""

import json
from pathlib import Path

from service.schema import schema, text_of

WEB = Path(__file__).parents[1] / "web"


def test_the_pages_client_is_typed_by_the_schema_as_it_is() -> None:
    """If not: `npm run api` in web/, and then the TypeScript build says what the change breaks."""
    assert (WEB / "openapi.json").read_text(encoding="utf-8") == text_of(schema())


def test_packages_are_pinned_to_exact_versions_and_locked() -> None:
    package = json.loads((WEB / "package.json").read_text())
    locked = json.loads((WEB / "package-lock.json").read_text())["packages"]
    for kind in ("dependencies", "devDependencies"):
        for name, version in package[kind].items():
            assert locked[f"node_modules/{name}"]["version"] == version, name
