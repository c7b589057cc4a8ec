"""The page's sources, as far as they can be held to their word without Node."""

import json
import re
from pathlib import Path

from service.schema import formats_text, schema, text_of

ROOT = Path(__file__).parents[2]
WEB = ROOT / "web"
LOCKED = json.loads((WEB / "package-lock.json").read_text())["packages"]
PACKAGE = json.loads((WEB / "package.json").read_text())
PERMISSIVE = {
    "MIT",
    "ISC",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "0BSD",
    "Apache-2.0",
    "(MIT OR CC0-1.0)",
    "MIT OR Apache-2.0",
    "Python-2.0",
}


def test_the_pages_client_is_typed_by_the_schema_as_it_is() -> None:
    """If not: `npm run api` in web/, and then the TypeScript build says what the change breaks."""
    assert (WEB / "openapi.json").read_text(encoding="utf-8") == text_of(schema())


def test_the_page_takes_and_offers_the_formats_of_the_table() -> None:
    assert (WEB / "src" / "api" / "formats.ts").read_text(encoding="utf-8") == formats_text()


def test_packages_are_pinned_to_exact_versions_and_locked() -> None:
    for kind in ("dependencies", "devDependencies"):
        for name, version in PACKAGE[kind].items():
            assert LOCKED[f"node_modules/{name}"]["version"] == version, name
    assert all("integrity" in entry or entry.get("inBundle") for path, entry in LOCKED.items() if path)


def test_every_package_is_explained_and_no_other() -> None:
    text = (ROOT / "docs" / "dependencies.md").read_text()
    explained = re.findall(r"^\| `([@/\w-]+)` \|", text, re.MULTILINE)
    assert set(explained) == {*PACKAGE["dependencies"], *PACKAGE["devDependencies"]}


def test_what_is_bundled_has_a_licence_that_lets_it_be() -> None:
    """Tools may be under the MPL as well: nothing of them is in the page."""
    for path, entry in LOCKED.items():
        allowed = PERMISSIVE | {"MPL-2.0"} if entry.get("dev") or entry.get("optional") else PERMISSIVE
        assert not path or entry["license"] in allowed, path


def test_sources_reach_for_no_other_host_and_write_no_html_or_inline_style() -> None:
    """The page's policy would refuse most of it; this says so before a browser does."""
    for path in (WEB / "index.html", *sorted((WEB / "src").rglob("*.ts*")), *sorted((WEB / "src").rglob("*.css"))):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"""(src|href)=["'{`]+(https?:)?//|@import|url\(["']?https?:""", text), path
        assert not re.search(r"dangerouslySetInnerHTML|\.innerHTML|\beval\(|new Function\(", text), path
