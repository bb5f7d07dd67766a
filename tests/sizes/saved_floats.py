"""What autograd keeps, for tests of the bytes model."""

from __future__ import annotations

from collections.abc import Callable

import torch


def saved_floats(module: torch.nn.Module, run: Callable[[], object]) -> float:
    """Floats that autograd keeps, each storage once, parameters and buffers not counted."""
    own = {t.untyped_storage().data_ptr() for t in [*module.parameters(), *module.buffers()]}
    storages: dict[int, int] = {}
    kept = []  # so that no address is used twice

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            storages[storage.data_ptr()] = storage.nbytes()
            kept.append(storage)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = run()
    assert result is not None
    return sum(storages.values()) / 4
