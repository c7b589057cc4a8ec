"""GET / and /assets: the page as `make web` built it, or a plain one that says how.

The files are read once, when the app is made: what a request names is looked up among them and never on the disk.
"""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

from fastapi import APIRouter, Header
from starlette.responses import HTMLResponse, Response

from contract.errors import NotFound
from service.endpoints.plain_page import PLAIN_PAGE, POLICY
from service.http.header_fields import names_tag

BUILT = Path(__file__).parents[1] / "static"
INDEX = "index.html"
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".wasm": "application/wasm",
    ".txt": "text/plain; charset=utf-8",
}
"""A file of another type is not served."""
SUFFIXES = {"br": ".br", "gzip": ".gz"}
"""Content codings that the build leaves beside a file, the smaller first."""
KEEP = "public, max-age=31536000, immutable"
"""Of assets: another content has another name."""
Coding = Annotated[str | None, Header(alias="accept-encoding")]
Tag = Annotated[str | None, Header(alias="if-none-match")]
_CODING = re.compile(r"\s*([A-Za-z0-9*-]+)\s*(?:;\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*)?")


class Asset(NamedTuple):
    """A file of the page with its compressed twins: coding -> bytes, "" for the file as it is."""

    media_type: str
    digest: str
    bodies: dict[str, bytes]


def make_router(folder: Path) -> APIRouter:
    """The routes of the page that lies in a folder, or of the plain page where there is none."""
    router = APIRouter(include_in_schema=False)
    assets = dict(_read(folder))
    if INDEX not in assets:
        router.add_api_route("/", plain_page, methods=["GET", "HEAD"])
        return router

    def page(accept_encoding: Coding = None, if_none_match: Tag = None) -> Response:
        """The page; a browser asks each time whether it is still this one."""
        return _reply(assets[INDEX], accept_encoding, if_none_match, "no-cache", PAGE_POLICY)

    def asset(name: str, accept_encoding: Coding = None, if_none_match: Tag = None) -> Response:
        """A script, style or picture of the page."""
        if f"assets/{name}" not in assets:
            raise NotFound("The page has no file of that name.")
        return _reply(assets[f"assets/{name}"], accept_encoding, if_none_match, KEEP)

    router.add_api_route("/", page, methods=["GET", "HEAD"])
    router.add_api_route("/assets/{name}", asset, methods=["GET", "HEAD"])
    return router


def plain_page() -> HTMLResponse:
    """The page of a service without one."""
    return HTMLResponse(PLAIN_PAGE, headers={"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"})


def _read(folder: Path) -> Iterator[tuple[str, Asset]]:
    """(name, file) of index.html and all files in assets/."""
    for path in (folder / INDEX, *sorted((folder / "assets").glob("*"))):
        if path.suffix in TYPES and path.is_file():
            body = path.read_bytes()
            twins = {coding: path.with_name(path.name + suffix) for coding, suffix in SUFFIXES.items()}
            bodies = {coding: twin.read_bytes() for coding, twin in twins.items() if twin.is_file()}
            digest = hashlib.sha256(body).hexdigest()[:32]
            yield path.relative_to(folder).as_posix(), Asset(TYPES[path.suffix], digest, {**bodies, "": body})


def _reply(
    asset: Asset, accept_encoding: str | None, if_none_match: str | None, caching: str, policy: str | None = None
) -> Response:
    coding = choose(accept_encoding, asset.bodies)
    tag = f'"{asset.digest}{"-" if coding else ""}{coding}"'  # another coding is another representation
    headers = {"ETag": tag, "Cache-Control": caching, "Vary": "Accept-Encoding"}
    if policy is not None:
        headers["Content-Security-Policy"] = policy
    if names_tag(if_none_match, tag):
        return Response(status_code=304, headers=headers)
    if coding:
        headers["Content-Encoding"] = coding
    return Response(asset.bodies[coding], 200, headers, asset.media_type)


def choose(accept_encoding: str | None, bodies: dict[str, bytes]) -> str:
    """The content coding for an Accept-Encoding field: the smallest twin that the client takes, "" for none."""
    quality: dict[str, float] = {}
    for part in (accept_encoding or "").split(","):
        match = _CODING.fullmatch(part)
        if match:
            quality[match[1].lower()] = float(match[2] or 1)
    for coding in SUFFIXES:
        if coding in bodies and quality.get(coding, quality.get("*", 0)) > 0:
            return coding
    return ""
