"""The bytes of a request: content type, size limit, deadlines. Parsing is strict_json.py's and uploads.py's."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Request

from jobs.errors import UnsupportedMedia, UploadTooLarge
from service.errors import RequestTimeout

MAX_JSON_BYTES = 4 * 2**20
PATIENCE_S = 30.0
"""A client that sends nothing for this long is given up; a JSON body must be whole after it."""
_JSON = re.compile(r'application/json\s*(;\s*charset="?utf-8"?\s*)?', re.IGNORECASE)


async def read_json(request: Request) -> bytes:
    """The body of a JSON request. Raises: UnsupportedMedia, UploadTooLarge, RequestTimeout."""
    if not is_json(request):
        raise UnsupportedMedia("Send the request with Content-Type: application/json.")
    try:
        async with asyncio.timeout(PATIENCE_S):
            return b"".join([chunk async for chunk in limited(request, MAX_JSON_BYTES)])
    except TimeoutError as err:
        raise RequestTimeout("The body did not arrive in time.") from err


JsonBody = Annotated[bytes, Depends(read_json)]


def is_json(request: Request) -> bool:
    """Whether the body says that it is JSON in UTF-8; a web page cannot send that to us from elsewhere unasked."""
    return _JSON.fullmatch(request.headers.get("content-type", "")) is not None


async def limited(request: Request, max_bytes: int) -> AsyncIterator[bytes]:
    """The body's chunks as they come, the first one too many not among them.

    Raises: UnsupportedMedia (compressed), UploadTooLarge, RequestTimeout.
    """
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMedia("Send the body without Content-Encoding.")
    announced = request.headers.get("content-length", "")
    too_large = UploadTooLarge(f"The body may have at most {max_bytes} bytes.")
    if announced.isascii() and announced.isdecimal() and (len(announced) > 18 or int(announced) > max_bytes):
        raise too_large
    received = 0
    async for chunk in _patient(request.stream()):
        received += len(chunk)
        if received > max_bytes:
            raise too_large
        yield chunk


async def _patient(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same chunks, with a limit on the silence before each."""
    while True:
        try:
            async with asyncio.timeout(PATIENCE_S):
                chunk = await anext(chunks, None)
        except TimeoutError as err:
            raise RequestTimeout("The body did not arrive in time.") from err
        if chunk is None:
            return
        yield chunk
