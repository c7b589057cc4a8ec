"""Prefix: the service behind a proxy that gives it a part of an address, such as /user/me/voxelsmith."""

from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.http.edge import SAFE


class Prefix:
    """Takes the prefix off the paths that come, where the proxy has not, and puts it before those that answers name."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self.app, self._prefix = app, prefix.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if scope["raw_path"] == self._prefix:  # the page's own addresses are relative: it needs the slash
            headers = {name.decode(): value.decode() for name, value in SAFE}
            await RedirectResponse(f"{self._prefix.decode()}/", 308, headers)(scope, receive, send)
            return
        if scope["raw_path"].startswith(self._prefix + b"/"):
            at = len(self._prefix)
            scope["raw_path"], scope["path"] = scope["raw_path"][at:], scope["path"][at:]

        async def send_placed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [(name, self._placed(name, value)) for name, value in message["headers"]]
            await send(message)

        await self.app(scope, receive, send_placed)

    def _placed(self, name: bytes, value: bytes) -> bytes:
        return self._prefix + value if name.lower() == b"location" and value.startswith(b"/") else value
