"""What autograd keeps, for tests of the bytes model."""

from __future__ import annotations

from collections.abc import Callable

import torch


def saved_floats(module: torch.nn.Module, run: Callable[[], object]) -> float:
    """Floats that autograd keeps, each storage once, parameters and buffers not counted.

    Fake tensors will do: a storage is known by its identity, not by its address.
    """
    kept = [t.untyped_storage() for t in [*module.parameters(), *module.buffers()]]
    own = {storage._cdata for storage in kept}  # all are kept, so that no identity is used twice
    storages: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            storages[storage._cdata] = storage.nbytes()
            kept.append(storage)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = run()
    assert result is not None
    return sum(storages.values()) / 4
