"""Landing: where volumes arrive from a GPU while the GPU goes on."""

from collections.abc import Callable

import torch
from torch import Tensor


class Landing:
    """Two buffers in page-locked memory, used in turn: one is written to a file while the other is filled."""

    def __init__(self) -> None:
        self._buffers: list[Tensor] = []
        self._turn = 0

    def fetch(self, volume: Tensor) -> tuple[Tensor, Callable[[], None]]:
        """Starts to copy a volume from a CUDA device. The buffer holds it once the function given beside it has
        returned, and until the fetch after the next."""
        if not self._buffers or self._buffers[0].shape != volume.shape:
            self._buffers = [torch.empty(volume.shape, dtype=volume.dtype, pin_memory=True) for _ in range(2)]
        target = self._buffers[self._turn]
        self._turn = 1 - self._turn
        target.copy_(volume, non_blocking=True)
        event = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(volume.device))
        return target, event.synchronize
