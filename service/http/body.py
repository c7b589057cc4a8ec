"""The bytes of a request: content type, size limit, deadlines. Parsing is strict_json.py's and uploads.py's."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Request

from contract.errors import UnsupportedMedia, UploadTooLarge
from service.http.errors import RequestTimeout

MAX_JSON_BYTES = 4 * 2**20
PATIENCE_S = 30.0
"""A client that sends nothing for this long is given up; a JSON body must be whole after it."""
MIN_BYTES_PER_S = 8 * 2**10
"""After the first PATIENCE_S an upload has to be this fast on average."""
_JSON = re.compile(r'application/json\s*(;\s*charset="?utf-8"?\s*)?', re.IGNORECASE)


async def read_json(request: Request) -> bytes:
    """The body of a JSON request. Raises: UnsupportedMedia, UploadTooLarge, RequestTimeout."""
    if not is_json(request):
        raise UnsupportedMedia("Send the request with Content-Type: application/json.")
    try:
        async with asyncio.timeout(PATIENCE_S):
            return b"".join([chunk async for chunk in limited(request, MAX_JSON_BYTES, PATIENCE_S)])
    except TimeoutError as err:
        raise RequestTimeout("The body did not arrive in time.") from err


JsonBody = Annotated[bytes, Depends(read_json)]


def is_json(request: Request) -> bool:
    """Whether the body says that it is JSON in UTF-8; a web page cannot send that to us from elsewhere unasked."""
    return _JSON.fullmatch(request.headers.get("content-type", "")) is not None


async def limited(request: Request, max_bytes: int, max_s: float) -> AsyncIterator[bytes]:
    """The body's chunks as they come, the first one too many not among them; the whole of it within `max_s`.

    Raises: UnsupportedMedia (compressed), UploadTooLarge, RequestTimeout.
    """
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMedia("Send the body without Content-Encoding.")
    announced = request.headers.get("content-length", "")
    too_large = UploadTooLarge(f"The body may have at most {max_bytes} bytes.")
    if announced.isascii() and announced.isdecimal() and (len(announced) > 18 or int(announced) > max_bytes):
        raise too_large
    received, began, chunks = 0, time.monotonic(), request.stream()
    while chunk := await _next(chunks, _patience_s(received, time.monotonic() - began, max_s)):
        received += len(chunk)
        if received > max_bytes:
            raise too_large
        yield chunk


def _patience_s(received: int, elapsed_s: float, max_s: float) -> float:
    """How long the next chunk may take after `received` bytes: one that drips is given up like one that is silent."""
    return min(PATIENCE_S, PATIENCE_S + received / MIN_BYTES_PER_S - elapsed_s, max_s - elapsed_s)


async def _next(chunks: AsyncIterator[bytes], patience_s: float) -> bytes:
    """The next chunk that is not empty, b"" after the last. Raises: RequestTimeout."""
    try:
        async with asyncio.timeout(patience_s):
            while (chunk := await anext(chunks, None)) == b"":
                pass
    except TimeoutError as err:
        raise RequestTimeout("The body did not arrive in time.") from err
    return chunk or b""
