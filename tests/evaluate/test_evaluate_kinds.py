"""Kinds: equal rows of tokens and nothing else, whatever the hash does; made once a dataset."""

from __future__ import annotations

import gc
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from behavior_scaling.evaluate import kinds as module
from behavior_scaling.evaluate.kinds import Kinds, kinds_of


def tokens(n_items: int, n_tokens: int, values: int, seed: int) -> SimpleNamespace:
    rng = np.random.default_rng(seed)
    shape = (n_items, n_tokens)
    return SimpleNamespace(
        codes=rng.integers(0, values, shape, dtype=np.int32),
        weights=rng.integers(0, 2, shape).astype(np.float32),
        n_items=n_items,
    )


def check(data: SimpleNamespace, found: Kinds) -> None:
    """Two items share a column exactly where their rows are equal."""
    rows = np.concatenate([data.codes, data.weights.view(np.int32)], 1)
    known: dict[bytes, int] = {}
    expected = [known.setdefault(row.tobytes(), len(known)) for row in rows]
    assert found.columns(torch.arange(data.n_items)).tolist() == expected
    assert found.count == len(known)
    sizes = np.bincount(expected)
    assert found.sizes(torch.arange(found.count)).tolist() == sizes.tolist()
    if found.count < data.n_items:
        assert found.first is not None
        assert found.first.tolist() == [expected.index(kind) for kind in range(found.count)]
    else:
        assert found.first is None


@pytest.mark.parametrize(("n_tokens", "values"), [(1, 3), (2, 4), (5, 1 << 30)])
@pytest.mark.parametrize("hashed", [1, 7, 1 << 16])
def test_kinds_are_the_distinct_rows_in_order_of_appearance(monkeypatch, n_tokens, values, hashed):
    monkeypatch.setattr(module, "HASHED", hashed)
    data = tokens(50, n_tokens, values, seed=n_tokens)
    check(data, Kinds(data))


def test_rows_of_one_hash_are_still_told_apart(monkeypatch):
    """With every factor 1 a hash is a sum: permuted codes collide."""
    zeros = SimpleNamespace(integers=lambda low, high, n, dtype: np.zeros(n, dtype=dtype))
    monkeypatch.setattr(module.np.random, "default_rng", lambda seed: zeros)
    codes = np.array([[1, 2], [2, 1], [1, 2], [0, 3], [2, 1]], dtype=np.int32)
    data = SimpleNamespace(codes=codes, weights=np.ones((5, 2), np.float32), n_items=5)
    check(data, Kinds(data))


def test_where_a_model_tells_all_items_apart_each_is_a_kind():
    data = tokens(20, 1, 2, seed=0)
    assert Kinds(data).count < 20
    assert Kinds(data, distinct=True).count == 20


def test_kinds_are_made_once_for_a_dataset_and_forgotten_with_it(world):
    apart = SimpleNamespace(embedder=SimpleNamespace(distinguishes_items=True))
    alike = SimpleNamespace(embedder=SimpleNamespace())
    assert kinds_of(world, apart).count == world.n_items
    assert kinds_of(world, alike).count == world.n_items - 1
    assert kinds_of(world, alike) is kinds_of(world, alike)
    other = replace(world)
    assert kinds_of(other, alike) is not kinds_of(world, alike)
    gc.collect()  # what other tests have left
    held = len(module._known)
    del other
    gc.collect()
    assert len(module._known) == held - 1


@pytest.mark.parametrize("distinct", [False, True])
def test_members_and_leading_items_are_those_of_the_columns(distinct):
    data = tokens(30, 1, 4, seed=2)
    found = Kinds(data, distinct)
    of_item = found.columns(torch.arange(30)).tolist()
    own = [[i for i in range(30) if of_item[i] == column] for column in range(found.count)]
    columns = torch.arange(found.count)
    expected = [(items + [30] * 3)[:3] for items in own]
    assert found.members(columns, 3).tolist() == expected
    assert found.first_items(0, found.count, torch.device("cpu")).tolist() == [o[0] for o in own]
    taken = torch.arange(found.count) % 4
    first = {i for column, items in enumerate(own) for i in items[: int(taken[column])]}
    assert set(found.leading(taken).nonzero()[:, 0].tolist()) == first
    values = torch.rand(2, found.count)
    whole = values[:, of_item].sum(1)
    torch.testing.assert_close(found.total(values, 0), whole)
