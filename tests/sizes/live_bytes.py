"""The most bytes that tensors held at once, storage by storage, for tests of the bytes model."""

from __future__ import annotations

from typing import Any

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):
    """Counts storages that operations return while they live; what an operation uses inside and
    frees before it returns is not seen.

    Attributes:
        peak: most bytes at once, of storages made since the mode was entered.
        where: the operation after which that was.
    """

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self.where = ""
        self._live: dict[int, tuple[StorageWeakRef, int]] = {}
        self._old: dict[int, StorageWeakRef] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        for tensor in tree_leaves((args, kwargs)):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                if storage._cdata not in self._live:
                    self._old[storage._cdata] = StorageWeakRef(storage)
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                if storage._cdata not in self._old:
                    self._live[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
        for known in (self._old, self._live):
            gone = [key for key, held in known.items() if _expired(held)]
            for key in gone:
                del known[key]
        held = sum(size for _, size in self._live.values())
        if held > self.peak:
            self.peak, self.where = held, str(func)
        return result


def _expired(held: StorageWeakRef | tuple[StorageWeakRef, int]) -> bool:
    ref = held if isinstance(held, StorageWeakRef) else held[0]
    return bool(ref.expired())
