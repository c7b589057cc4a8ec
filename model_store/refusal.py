"""The one shape of what is refused with words for the user. No torch."""


class Refusal(Exception):  # noqa: N818 -- the base of BrokenModel, ImportRefused, DataRefused, ...
    """`detail` is one sentence or two for the user."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail
