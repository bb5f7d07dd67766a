"""The model's parts on fake tensors: what they hold, run and save, at any size, unallocated.

Fake tensors have shape, type and device and no data, so a part of a billion parameters costs
nothing. What needs data (which items are distinct, where tokens lie) cannot run on them: the
embedder is given places for its tokens, and the parts of a step are run one by one. They stand for
a CPU's; a CPU build of torch runs no backward pass on fake CUDA tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, Literal
from unittest import mock

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from behavior_scaling.model import embedder_transformer, logit_tiles
from behavior_scaling.model.contextualizer import Contextualizer
from behavior_scaling.model.cross_entropy import Terms, cross_entropy
from behavior_scaling.model.embedder_base import UsedTokens, out_matrix
from behavior_scaling.model.embedder_transformer import TransformerEmbedder
from behavior_scaling.model.own_past import own_past
from behavior_scaling.model.token_rows import TokenRows
from behavior_scaling.records.spec import ContextualizerSpec, EmbedderSpec
from behavior_scaling.sizes.saved import token_row

from .saved_floats import saved_floats

Precision = Literal["fp32", "bf16-mixed"]
SCORED = 64  # positions of `logits`


@dataclass(frozen=True)
class Counted:
    """FLOPs forward and backward, and those of batched products (attention) among them."""

    total: int
    batched: int


def parameters(module: nn.Module) -> int:
    """Trained ones."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def _counted(run: Callable[[], Tensor], *, backward: bool = True) -> Counted:
    """Under the math backend: the counter sees nothing of fused attention on a CPU."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        out = run()
        if backward:
            out.backward(torch.empty_like(out))
    counts: dict[Any, int] = counter.get_flop_counts()["Global"]
    return Counted(counter.get_total_flops(), counts.get(torch.ops.aten.bmm, 0))


def _saved(module: nn.Module, run: Callable[[], object], precision: Precision) -> float:
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16-mixed"):
        return saved_floats(module, run)


@cache
def contextualizer_parameters(spec: ContextualizerSpec) -> int:
    with FakeTensorMode():
        return parameters(Contextualizer(spec, torch.Generator()))


@contextmanager
def _contextualizer(
    spec: ContextualizerSpec, rows: int, context: int, frozen: bool
) -> Iterator[tuple[Contextualizer, Callable[[], Tensor]]]:
    with FakeTensorMode():
        module = Contextualizer(spec, torch.Generator())
        vectors = torch.empty(rows, context, spec.width, requires_grad=not frozen)
        document = torch.zeros(rows, context, dtype=torch.int32)
        yield module, partial(module, vectors, document)


@cache
def contextualizer_flops(
    spec: ContextualizerSpec, rows: int, context: int, frozen: bool
) -> Counted:
    """Of a batch of `rows` rows; `frozen`: their vectors take no gradient."""
    with _contextualizer(spec, rows, context, frozen) as (_, run):
        return _counted(run)


def deep_flops(spec: ContextualizerSpec, rows: int, context: int, frozen: bool) -> Counted:
    """The same from one layer and two: every further one costs what the second does."""
    one, two = (
        contextualizer_flops(replace(spec, layers=n), rows, context, frozen) for n in (1, 2)
    )
    more = spec.layers - 1
    return Counted(
        one.total + more * (two.total - one.total),
        one.batched + more * (two.batched - one.batched),
    )


@cache
def contextualizer_saved(
    spec: ContextualizerSpec, rows: int, context: int, precision: Precision
) -> float:
    """Floats, the rotations aside, which are the same for any batch: 3 d a place of the row."""
    with _contextualizer(spec, rows, context, frozen=False) as (module, run):
        return _saved(module, run, precision) - 3 * spec.width * context


def deep_saved(spec: ContextualizerSpec, rows: int, context: int, precision: Precision) -> float:
    """The same from one layer and two."""
    one, two = (
        contextualizer_saved(replace(spec, layers=n), rows, context, precision) for n in (1, 2)
    )
    return one + (spec.layers - 1) * (two - one)


@contextmanager
def _embedder(
    spec: EmbedderSpec, width: int, tokens: int, items: int
) -> Iterator[tuple[nn.Module, Callable[[], Tensor]]]:
    """A transformer embedder, or the one matrix of depth 0, over items of `tokens` tokens."""
    with FakeTensorMode():
        if spec.depth == 0:
            matrix = out_matrix(spec, width, torch.Generator())
            yield matrix, partial(matrix, torch.empty(items, spec.width))
            return
        used = UsedTokens(
            torch.empty(256, spec.width),
            torch.zeros(items, tokens, dtype=torch.int64),
            torch.ones(items, tokens),
        )
        length, stretch = token_row(tokens)
        places = torch.zeros(items * tokens, dtype=torch.int64)
        rows = TokenRows(places, places, places, -(-items * tokens // stretch), length)
        with (
            mock.patch.object(embedder_transformer, "used_tokens", return_value=used),
            mock.patch.object(embedder_transformer, "pack_tokens", return_value=rows),
        ):
            module = TransformerEmbedder(spec, width, mock.Mock(), 256, torch.Generator())
            yield module, partial(module, torch.zeros(items, dtype=torch.int64))


@cache
def embedder_parameters(spec: EmbedderSpec, width: int) -> int:
    with _embedder(spec, width, 1, 1) as (module, _):
        return parameters(module)


def embedder_flops(spec: EmbedderSpec, width: int, tokens: int, items: int) -> Counted:
    """Of the blocks, which do not depend on the width of what they give, and the last matrix."""
    if spec.depth == 0:
        return _matrix_flops(spec, width, items, gradient=False)
    blocks, matrix = _block_flops(spec, tokens, items), _matrix_flops(spec, width, items)
    return Counted(blocks.total + matrix.total, blocks.batched + matrix.batched)


@cache
def _block_flops(spec: EmbedderSpec, tokens: int, items: int) -> Counted:
    with _embedder(spec, spec.width, tokens, items) as (module, run):
        module.out = nn.Identity()
        return _counted(run)


@cache
def _matrix_flops(spec: EmbedderSpec, width: int, items: int, gradient: bool = True) -> Counted:
    with FakeTensorMode():
        matrix = out_matrix(spec, width, torch.Generator())
        return _counted(partial(matrix, torch.empty(items, spec.width, requires_grad=gradient)))


@cache
def embedder_saved(
    spec: EmbedderSpec, width: int, tokens: int, items: int, precision: Precision
) -> float:
    """Floats, bf16 copies of the last matrix aside, of which there is one."""
    with _embedder(spec, width, tokens, items) as (module, run):
        found = _saved(module, run, precision)
    return found - (spec.width * width / 2 if precision == "bf16-mixed" else 0)


@cache
def logits_flops(width: int, candidates: int, frozen: bool) -> Counted:
    """Of SCORED positions, a tile as large as on a GPU; the loss makes gradients in its forward."""
    with (
        mock.patch.dict(logit_tiles.TILE_BYTES, {"cpu": logit_tiles.TILE_BYTES["cuda"]}),
        FakeTensorMode(),
    ):
        queries = torch.empty(SCORED, width, requires_grad=True)
        targets = torch.empty(SCORED, width, requires_grad=not frozen)
        vectors = torch.empty(candidates, width, requires_grad=not frozen)
        rows = torch.zeros(candidates, dtype=torch.int64) if frozen else None
        terms = Terms(torch.ones(SCORED), rows=rows)
        return _counted(partial(cross_entropy, queries, targets, vectors, terms), backward=False)


@contextmanager
def _past(width: int, rows: int, context: int, frozen: bool) -> Iterator[Callable[[], Tensor]]:
    with FakeTensorMode():
        queries = torch.empty(rows, context, width, requires_grad=True) * 1
        vectors = torch.empty(rows, context, width, requires_grad=not frozen) * 1
        items = torch.zeros(rows, context, dtype=torch.int64)
        scored = torch.zeros(rows * context, dtype=torch.int64)
        yield lambda: own_past(queries, vectors, items, items, items, scored).log_sum


@cache
def past_flops(width: int, rows: int, context: int, frozen: bool) -> Counted:
    with _past(width, rows, context, frozen) as run:
        return _counted(run)


@cache
def past_saved(width: int, rows: int, context: int, precision: Precision) -> float:
    """Floats, the numbers of the scored positions aside."""
    with _past(width, rows, context, frozen=False) as run:
        return _saved(nn.Module(), run, precision) - 2 * rows * context
