"""Counting the bytes that a pass holds on a device, over tensors with values or without."""

import weakref
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Held(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes on a kind of device of what came out of operations and is still referenced. What an operation
    itself needs meanwhile (a library's scratch space) is not seen.

    Args:
        without_values: a number that is asked of a tensor is 1, a whole number 0, a truth true, as whether a gradient
            is finite.
    """

    def __init__(self, device: str, without_values: bool = False) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.device, self.without_values = device, without_values
        self.now = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self.without_values and func is torch.ops.aten._local_scalar_dense.default:
            return True if args[0].dtype == torch.bool else 1.0 if args[0].is_floating_point() else 0
        out = func(*args, **(kwargs or {}))
        held = {tensor.untyped_storage()._cdata for tensor in tree_leaves(args) if isinstance(tensor, torch.Tensor)}
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor) and tensor.device.type == self.device:
                self._count(tensor.untyped_storage(), held)
        return out

    def _count(self, storage: torch.UntypedStorage, inputs: set[int]) -> None:
        """A view's storage that came in from outside is not the pass's."""
        if storage._cdata not in self._known and storage._cdata not in inputs:
            self._known.add(storage._cdata)
            self.now += storage.nbytes()
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._forget, storage._cdata, storage.nbytes())

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size
