"""One slash too many at the end of a path: the call is answered as it would be without, where clients ask for it."""

from starlette.types import ASGIApp, Receive, Scope, Send


class TrailingSlash:
    """Takes the slash away; a redirect would lose the body of a POST with many clients."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and len(scope["raw_path"]) > 1 and scope["raw_path"].endswith(b"/"):
            scope["raw_path"], scope["path"] = scope["raw_path"][:-1], scope["path"][:-1]
        await self.app(scope, receive, send)
