"""What the training refuses. No torch: the command line knows it too."""


class DataRefused(Exception):  # noqa: N818 -- says what happened to the data
    """The data folder cannot be trained on; `detail` says why."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail
