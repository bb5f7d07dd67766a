"""How fast this machine multiplies the matrices of a training step, each product by itself.

Choices: the products are those that one step runs, seen as torch dispatches them, so that any
embedder and any kernel is counted as it is; attention counts as its two batched products forward
and four backward. Each distinct product is timed alone in its type and layout, best of a few, and
remembered by the process. Sizes are rounded to an eighth of an octave for the timing (the number
of distinct items differs from step to step, and a product of 630 rows is as fast as one of 640);
rates, not seconds, carry over. Nothing of the run changes, and none of this is training time.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from behavior_scaling.data.store import Dataset
from behavior_scaling.model.step import BatchTensors
from behavior_scaling.train.datamodule import sampler, tensors
from behavior_scaling.train.module import RunModule

SECONDS = 0.0005  # of timing a product, if it is short
REPEATS = 3  # at least
EXACT = 16  # sizes up to this are not rounded


@dataclass(frozen=True)
class Product:
    """`batch` products [m, k] @ [k, n]; a transposed factor lies column by column in memory."""

    batch: int
    m: int
    k: int
    n: int
    transposed: tuple[bool, bool]
    dtype: torch.dtype

    @property
    def flops(self) -> int:
        """A multiply-add is 2 FLOPs."""
        return 2 * self.batch * self.m * self.k * self.n

    def rounded(self) -> Product:
        """The product that is timed in place of this one."""
        batch, m, k, n = (_rounded(size) for size in (self.batch, self.m, self.k, self.n))
        return Product(batch, m, k, n, self.transposed, self.dtype)


@dataclass(frozen=True)
class MatmulRate:
    """Of the products of one step."""

    flops: int  # of all of them
    seconds: float  # of each timed alone, added up

    @property
    def gflops(self) -> float:
        """10^9 FLOPs a second."""
        return self.flops / self.seconds / 1e9


def rate_of_run(module: RunModule, dataset: Dataset) -> MatmulRate | None:
    """The rate of the products of a run's first step; arguments and result as of matmul_rate.

    Where a run has several devices, that of this one times their number.
    """
    found = matmul_rate(module, first_batch(module, dataset))
    return None if found is None else MatmulRate(found.flops * module.share.size, found.seconds)


def first_batch(module: RunModule, dataset: Dataset) -> BatchTensors:
    """The batch of a run's first step on the model's device; of several parts the first."""
    batches = sampler(dataset, module.spec, module.spec.seed)
    whole = tensors(next(iter(batches)), next(module.model.parameters()).device)
    return next(module.share.alone().parts(whole, module.objective, module.spec.seed, 0))


def matmul_rate(module: RunModule, batch: BatchTensors) -> MatmulRate | None:
    """The rate of the products of one step, forward and backward.

    Args:
        module: the run, on its device; nothing of it changes.
        batch: any batch of the run.

    Returns:
        None where the step has no product (no run of this package).
    """
    device = batch.inputs.device
    products = step_products(module, batch)
    seconds = sum(
        count * one.flops / rate(one.rounded(), device, torch.get_num_threads())
        for one, count in products.items()
    )
    flops = sum(count * one.flops for one, count in products.items())
    return MatmulRate(flops, seconds) if flops else None


def step_products(module: RunModule, batch: BatchTensors) -> Counter[Product]:
    """The matrix products of one step, forward and backward, and how often each comes."""
    trained = [p for p in module.model.parameters() if p.requires_grad]
    device = batch.inputs.device
    devices = [torch.cuda.current_device()] if device.type == "cuda" else []
    recorder = _Recorder()
    with torch.random.fork_rng(devices), recorder:
        result = module.step_beside(batch, module.spec.seed, step=0)
        torch.autograd.grad(result.loss, trained, allow_unused=True)
    return recorder.products


@cache
def rate(product: Product, device: torch.device, threads: int) -> float:
    """FLOPs a second of one product, alone; `threads` is part of what is remembered."""
    left = _factor(product.batch, product.m, product.k, product.transposed[0], product.dtype)
    right = _factor(product.batch, product.k, product.n, product.transposed[1], product.dtype)
    left, right = left.to(device), right.to(device)
    out = torch.empty(product.batch, product.m, product.n, dtype=product.dtype, device=device)
    if product.batch == 1:
        left, right, out = left[0], right[0], out[0]
    best, spent, runs = math.inf, 0.0, 0
    while spent < SECONDS or runs < REPEATS:
        began = time.perf_counter()
        torch.matmul(left, right, out=out)
        if device.type == "cuda":
            torch.cuda.synchronize()
        took = time.perf_counter() - began
        best, spent, runs = min(best, took), spent + took, runs + 1
    return product.flops / best


def _factor(batch: int, rows: int, columns: int, transposed: bool, dtype: torch.dtype) -> Tensor:
    shape = (batch, columns, rows) if transposed else (batch, rows, columns)
    ones = torch.ones(shape, dtype=dtype)
    return ones.transpose(1, 2) if transposed else ones


def _rounded(size: int) -> int:
    if size <= EXACT:
        return size
    unit = 1 << (size.bit_length() - 4)
    return round(size / unit) * unit


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the matrix products that are dispatched while it is active."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.products: Counter[Product] = Counter()

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        name = func.overloadpacket.__name__
        if name in ("mm", "bmm"):
            self._add(args[0], args[1])
        elif name in ("addmm", "baddbmm"):
            self._add(args[1], args[2])
        elif name.startswith("_scaled_dot_product"):
            if name.endswith("_backward"):
                self._attention(*args[1:4], backward=True)
            else:
                self._attention(*args[:3], backward=False)
        return func(*args, **(kwargs or {}))

    def _add(self, left: Tensor, right: Tensor) -> None:
        batch = left.shape[0] if left.ndim == 3 else 1
        sizes = (left.shape[-2], left.shape[-1], right.shape[-1])
        self.products[Product(batch, *sizes, (_turned(left), _turned(right)), left.dtype)] += 1

    def _attention(self, query: Tensor, key: Tensor, value: Tensor, *, backward: bool) -> None:
        """Products of [B, h, L, w] with [B, h, S, w]: scores and mixing; their gradients.

        Backward, that of the mixing by weights and by values, that of scores by query and by key.
        """
        batch = query.shape[0] * query.shape[1]
        length, seen = query.shape[2], key.shape[2]
        width, mixed = query.shape[3], value.shape[3]

        def add(m: int, k: int, n: int, left: bool, right: bool) -> None:
            self.products[Product(batch, m, k, n, (left, right), query.dtype)] += 1

        if backward:
            add(length, mixed, seen, False, True)
            add(seen, length, mixed, True, False)
            add(length, seen, width, False, False)
            add(seen, length, width, True, False)
        else:
            add(length, width, seen, False, True)
            add(length, seen, mixed, False, False)


def _turned(factor: Tensor) -> bool:
    return factor.stride(-2) == 1 and factor.stride(-1) != 1
