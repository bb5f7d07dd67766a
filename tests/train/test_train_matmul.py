"""The products of a step against the formula, PyTorch's counter and by hand; planted rates."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.flop_counter import FlopCounterMode

from behavior_scaling.data.windows import TrainSampler
from behavior_scaling.model.step import step_loss
from behavior_scaling.records.spec import ContextualizerSpec, EmbedderSpec, ObjectiveSpec
from behavior_scaling.train import matmul_rate as room
from behavior_scaling.train.datamodule import tensors
from behavior_scaling.train.fit import build
from behavior_scaling.train.matmul_rate import (
    Product,
    _Recorder,
    matmul_rate,
    rate,
    rate_of_run,
    step_products,
)
from behavior_scaling.train.run import EMBEDDER

CPU = torch.device("cpu")
WIDE = ContextualizerSpec("transformer", 12, 2, 2)
CHANGES = {
    "transformer": {"embedder": EmbedderSpec("transformer", 6, 2), "contextualizer": WIDE},
    "mlp": {},
    "depth 0": {"embedder": EmbedderSpec("mlp", 6, 0), "contextualizer": WIDE},
    "fixed": {"embedder": EmbedderSpec("fixed", 8, 0)},
    "full": {"objective": ObjectiveSpec("full", 0, 0, "mask")},
    "bf16": {"precision": "bf16-mixed"},
}


@pytest.fixture
def first(chain, spec, child, train, tmp_path, request):
    """A run of some kind and its first batch."""
    parent = None
    if request.param == "stage 2":
        train(replace(spec, positions=300), "parent")
        parent = tmp_path / "parent" / EMBEDDER
        asked = child
    else:
        asked = replace(spec, **CHANGES[request.param])
    sampler = TrainSampler(chain, 16, asked.batch, asked.positions, asked.seed)
    return build(asked, chain, parent), tensors(next(iter(sampler)), CPU)


@pytest.mark.parametrize("first", [*CHANGES, "stage 2"], indirect=True)
def test_the_products_of_a_step_are_its_executed_flops(first):
    run, batch = first
    products = step_products(run, batch)
    result = step_loss(run.model, run.objective, batch, run.frozen, run.spec.seed, 0)
    found = sum(count * product.flops for product, count in products.items())
    assert found == pytest.approx(run.executed_flops(batch, result), rel=0.01)
    half = run.spec.precision == "bf16-mixed"
    assert {product.dtype for product in products} >= {torch.bfloat16 if half else torch.float32}


@pytest.mark.parametrize("first", ["transformer", "mlp", "full"], indirect=True)
def test_the_products_of_a_step_are_those_that_torch_counts(first):
    run, batch = first
    # torch's counter sees no attention of the CPU, so it runs as plain products.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        step_loss(run.model, run.objective, batch, run.frozen, run.spec.seed, 0).loss.backward()
    products = step_products(run, batch)
    found = sum(count * product.flops for product, count in products.items())
    assert found == pytest.approx(counter.get_total_flops(), rel=0.01)


@pytest.mark.parametrize("first", ["transformer", "stage 2"], indirect=True)
def test_measuring_changes_nothing_of_the_run(first):
    run, batch = first
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    generator = torch.get_rng_state()
    tally = run.tally.state_dict()
    assert matmul_rate(run, batch) is not None
    assert all(torch.equal(before[name], value) for name, value in run.model.state_dict().items())
    assert all(parameter.grad is None for parameter in run.model.parameters())
    assert torch.equal(torch.get_rng_state(), generator)
    assert run.tally.state_dict() == tally


def product(batch, m, k, n, left=False, right=False):
    return Product(batch, m, k, n, (left, right), torch.float32)


def test_products_by_hand():
    weight = torch.ones(5, 3, requires_grad=True)
    with _Recorder() as recorder:
        (torch.ones(7, 3) @ weight.T).sum().backward()
    # forward x W^T; backward of W alone: [5, 7] @ [7, 3], or its transpose
    forward = product(1, 7, 3, 5, right=True)
    assert recorder.products[forward] == 1
    (backward,) = [one for one in recorder.products if one != forward]
    assert backward.flops == 2 * 3 * 5 * 7
    with _Recorder() as recorder:
        torch.baddbmm(torch.ones(1), torch.ones(4, 2, 3), torch.ones(4, 3, 6))
        torch.addmm(torch.ones(1), torch.ones(2, 3), torch.ones(3, 6))
    assert recorder.products == {product(4, 2, 3, 6): 1, product(1, 2, 3, 6): 1}


def test_attention_counts_as_two_products_forward_and_four_backward():
    query, key, value = (torch.ones(2, 3, 8, 4, requires_grad=True) for _ in range(3))
    with _Recorder() as recorder:
        mixed = scaled_dot_product_attention(query, key, value, attn_mask=torch.zeros(8, 8))
    assert sum(recorder.products.values()) == 2
    assert {one.flops for one in recorder.products} == {2 * 6 * 8 * 8 * 4}
    with _Recorder() as recorder:
        mixed.sum().backward()
    assert sum(n * one.flops for one, n in recorder.products.items()) == 4 * 2 * 6 * 8 * 8 * 4


@pytest.mark.parametrize("first", ["transformer"], indirect=True)
def test_the_rate_of_a_step_adds_up_the_seconds_of_its_products(first, monkeypatch):
    run, batch = first
    # Planted: products of more than 10^4 FLOPs run at 4 GFLOP/s, the others at 1.
    monkeypatch.setattr(room, "rate", lambda one, *_: 4e9 if one.flops > 1e4 else 1e9)
    products = step_products(run, batch)
    seconds = sum(
        count * one.flops / (4e9 if one.rounded().flops > 1e4 else 1e9)
        for one, count in products.items()
    )
    found = matmul_rate(run, batch)
    assert found is not None
    assert found.seconds == pytest.approx(seconds)
    assert found.gflops == pytest.approx(found.flops / seconds / 1e9)
    assert 1 < found.gflops < 4


def test_a_product_is_timed_once_a_process_and_again_with_other_threads(monkeypatch):
    calls = []
    matmul = torch.matmul
    monkeypatch.setattr(torch, "matmul", lambda *a, **k: calls.append(1) or matmul(*a, **k))
    rate.cache_clear()
    one = product(3, 20, 30, 40, left=True)
    assert rate(one, CPU, 1) > 0
    taken = len(calls)
    assert taken >= room.REPEATS
    assert rate(one, CPU, 1) > 0
    assert len(calls) == taken
    rate(one, CPU, 2)
    assert len(calls) > taken


@pytest.mark.parametrize("size", [1, 7, 16, 17, 63, 64, 100, 631, 1682, 65_536, 1_000_003])
def test_sizes_are_rounded_by_no_more_than_a_sixteenth(size):
    rounded = product(1, size, 1, 1).rounded().m
    assert abs(rounded / size - 1) <= 1 / 16
    assert product(1, rounded, 1, 1).rounded().m == rounded  # so that the cache is hit
    assert size > 16 or rounded == size


def test_the_rate_of_a_run_is_that_of_its_first_step(chain, spec):
    run = build(spec, chain, None)
    sampler = TrainSampler(chain, 16, spec.batch, spec.positions, spec.seed)
    batch = tensors(next(iter(sampler)), CPU)
    found = rate_of_run(run, chain)
    assert found is not None
    assert found.flops == sum(n * one.flops for one, n in step_products(run, batch).items())
