"""Blocks of columns: the same counts, lists and partition as from whole rows, and by brute force.

Small integers make exact scores with many ties, so sorting with Python's own order is an oracle;
random vectors show that a target's own column never counts against it.
"""

from __future__ import annotations

import math
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from behavior_scaling.data.store import Dataset
from behavior_scaling.evaluate import scoring
from behavior_scaling.evaluate.kinds import Kinds
from behavior_scaling.evaluate.lists import Coverage, block_top
from behavior_scaling.evaluate.ranking import evaluate
from behavior_scaling.evaluate.scoring import Catalogue, Restored, Restoring
from behavior_scaling.evaluate.tally import Asked, Counted, NonFiniteScoresError, Tally
from behavior_scaling.model.objective import Objective
from behavior_scaling.records.spec import ObjectiveSpec


def blocks(monkeypatch: pytest.MonkeyPatch, width: int, rows: int = 64) -> None:
    """Blocks of `rows` states and `width` columns, whatever the catalogue."""
    monkeypatch.setattr(scoring, "WIDEST", 0)
    monkeypatch.setattr(scoring, "WIDTH", width)
    monkeypatch.setitem(scoring.BLOCK, "cpu", 1)
    monkeypatch.setattr(scoring, "FEWEST_ROWS", rows)


def kinds(codes: list[int] | np.ndarray, distinct: bool = False) -> Kinds:
    """Kinds of items of one token each."""
    tokens = np.asarray(codes, dtype=np.int32)[:, None]
    weights = np.ones_like(tokens, dtype=np.float32)
    data = SimpleNamespace(codes=tokens, weights=weights, n_items=len(tokens))
    return Kinds(data, distinct)


def read(
    catalogue: Catalogue, states: Tensor, asked: Asked, bias: Tensor | None, k: int
) -> tuple[Counted, Coverage]:
    """Counts and coverage of one block of states."""
    restored = None if bias is None else Restored(catalogue, bias)
    groups = catalogue.kinds if restored is None else restored.groups
    coverage = Coverage(groups, k, states.device)
    tally = Tally(asked, len(states), groups, catalogue.scratch, coverage)
    readers = tally.readers if restored is None else [Restoring(restored, tally.readers)]
    catalogue.read([states], [readers])
    return tally.counted("test: the"), coverage


@pytest.mark.parametrize("seed", range(60))
def test_counts_lists_and_partition_are_those_of_sorting(monkeypatch, seed):
    rng = np.random.default_rng(seed)
    n_items, n_states, k = (
        int(rng.integers(1, 40)),
        int(rng.integers(1, 9)),
        int(rng.integers(1, 8)),
    )
    if seed % 3:
        blocks(monkeypatch, width=int(rng.integers(1, 14)))
    codes = rng.integers(0, max(1, n_items // 2) if seed % 2 else 1 << 30, n_items)
    by_code = {code: rng.integers(-1, 2, 3) for code in codes.tolist()}
    vectors = np.array([by_code[code] for code in codes.tolist()], dtype=np.float32)
    states = rng.integers(-2, 3, (n_states, 3)).astype(np.float32)
    bias = rng.integers(-2, 1, n_items).astype(np.float32) if seed % 4 < 2 else None
    scores = states @ vectors.T + (0 if bias is None else bias)
    rows = np.concatenate([np.arange(n_states), np.sort(rng.integers(0, n_states, 20))])
    items = rng.integers(0, n_items, len(rows))
    listed = np.flatnonzero(rng.random(n_states) < 0.7)
    found, coverage = read(
        Catalogue(kinds(codes), torch.from_numpy(vectors)),
        torch.from_numpy(states),
        Asked(*(torch.from_numpy(one) for one in (rows, items, listed))),
        None if bias is None else torch.from_numpy(bias),
        k,
    )
    own = scores[rows, items][:, None]
    assert found.higher.tolist() == (scores[rows] > own).sum(1).tolist()
    assert found.equal.tolist() == ((scores[rows] == own).sum(1) - 1).tolist()
    logp = own[:, 0] - np.log(np.exp(scores[rows].astype(float)).sum(1))
    np.testing.assert_allclose(found.logp, logp, rtol=1e-6, atol=1e-6)
    lists: set[int] = set()
    for row in listed:
        lists |= set(np.lexsort((np.arange(n_items), -scores[row]))[:k].tolist())
    assert coverage.share() == len(lists) / n_items


@pytest.mark.parametrize("kind", ["full", "as_paper"])
@pytest.mark.parametrize(("width", "rows"), [(1, 5), (7, 1), (7, 64), (28, 3), (29, 64)])
def test_blocks_of_columns_change_no_row_of_an_evaluation(
    world: Dataset, monkeypatch, kind, width, rows
):
    rng = np.random.default_rng(3)
    vectors = torch.from_numpy(rng.integers(-2, 3, (world.n_items, 3)).astype(np.float32))
    vectors[4] = vectors[3]  # the same features
    model = SimpleNamespace(
        catalogue_vectors=lambda: vectors,
        states=lambda past, document, events: past,
        event_features=(),
        scale=lambda: torch.tensor(0.5),
    )
    spec = ObjectiveSpec(kind, 0 if kind == "full" else 8, 0, "mask")
    objective = Objective(spec, torch.tensor(world.unigram))
    whole = evaluate(model, objective, world)
    blocks(monkeypatch, width, rows)
    found = evaluate(model, objective, world)
    pd.testing.assert_frame_equal(
        pd.DataFrame(found.ranks.columns()), pd.DataFrame(whole.ranks.columns()), rtol=1e-6
    )
    counts = [name for name in whole.ranks.columns() if "logp" not in name]
    for name in counts:
        assert (getattr(found.ranks, name) == getattr(whole.ranks, name)).all()
    assert found.coverage == whole.coverage


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("width", [0, 3])
def test_a_bad_score_in_any_block_is_refused(monkeypatch, bad, width):
    if width:
        blocks(monkeypatch, width)
    for item in (0, 4, 9):
        vectors = torch.ones(10, 2)
        vectors[item, 1] = bad
        catalogue = Catalogue(kinds(np.arange(10)), vectors)
        states = torch.tensor([[1.0, 1.0], [1.0, -1.0]])  # an infinite score of either sign
        none = torch.zeros(0, dtype=torch.int64)
        asked = Asked(torch.arange(2), torch.zeros(2, dtype=torch.int64), none)
        with pytest.raises(NonFiniteScoresError, match="test: the scores are not all finite"):
            read(catalogue, states, asked, None, 3)


@pytest.mark.parametrize("n_states", [1, 2, 9])
@pytest.mark.parametrize(
    ("n_items", "width"),
    [(7, 0), (11, 0), (1003, 0), (1003, 16), (1664, 0), (1664, 1024), (3706, 0), (3706, 112)],
)
def test_equal_vectors_tie_wherever_they_stand(monkeypatch, n_items, width, n_states):
    """A model that tells nothing apart must not rank its targets first, or last.

    A plain matrix product fails here: its ends round otherwise.
    """
    if width:
        blocks(monkeypatch, width)
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(1, 64, generator=generator).expand(n_items, 64).contiguous()
    states = torch.randn(n_states, 64, generator=generator)
    items = n_items - 1 - torch.arange(n_states) * (n_items - 1) // 9
    asked = Asked(torch.arange(n_states), items, torch.arange(n_states))
    catalogue = Catalogue(kinds(np.arange(n_items)), vectors)
    found, coverage = read(catalogue, states, asked, None, 5)
    assert found.higher.tolist() == [0] * n_states
    assert found.equal.tolist() == [n_items - 1] * n_states
    np.testing.assert_allclose(found.logp, -math.log(n_items), rtol=1e-6)
    assert coverage.share() == 5 / n_items


@pytest.mark.parametrize("width", [100, 4096])
def test_a_target_is_never_above_itself(monkeypatch, width):
    """Random floats, targets in every block and in the last, short one: exact against float64."""
    blocks(monkeypatch, width)
    generator = torch.Generator().manual_seed(1)
    vectors = torch.randn(10_050, 16, generator=generator)
    states = torch.randn(64, 16, generator=generator)
    items = torch.arange(64) * 159 + 32  # the last is 10,049
    listed = torch.zeros(0, dtype=torch.int64)
    asked = Asked(torch.arange(64), items, listed)
    found, _ = read(Catalogue(kinds(np.arange(10_050)), vectors), states, asked, None, 10)
    scores = states.double() @ vectors.double().T
    own = scores.gather(1, items[:, None])
    apart = (scores - own).abs()
    apart[torch.arange(64), items] = 1
    clear = (apart.amin(1) > 1e-5).numpy()  # no other score within rounding
    assert clear.sum() > 25
    higher = (scores > own).sum(1).numpy()
    assert (found.higher[clear] == higher[clear]).all()
    assert (found.equal[clear] == 0).all()
    logp = (own[:, 0] - scores.logsumexp(1)).numpy()
    np.testing.assert_allclose(found.logp, logp, atol=4e-6)


@pytest.mark.parametrize(("width", "k"), [(1, 1), (5, 11), (11, 11), (47, 3), (1664, 11)])
def test_the_best_of_a_block_are_those_of_topk(width, k):
    scores = torch.randn(6, width, generator=torch.Generator().manual_seed(width))
    values, columns = block_top(scores, k)
    best = scores.topk(min(k, width), 1)
    assert torch.equal(values, best.values)
    assert torch.equal(columns, best.indices)


def test_a_product_that_does_not_repeat_itself_is_refused(monkeypatch):
    blocks(monkeypatch, 4)
    vectors = torch.randn(10, 3, generator=torch.Generator().manual_seed(0))
    catalogue = Catalogue(kinds(np.arange(10)), vectors)
    plain, calls = catalogue._scores, []

    def drifting(states: Tensor, columns: Tensor) -> Tensor:
        calls.append(None)
        return plain(states, columns) * (1 - 1e-6 * (len(calls) > 3))

    monkeypatch.setattr(catalogue, "_scores", drifting)
    asked = Asked(torch.arange(2), torch.tensor([1, 9]), torch.arange(2))
    with pytest.raises(ArithmeticError, match="was not the same when its block was computed"):
        read(catalogue, torch.ones(2, 3), asked, None, 3)


MEMORY = """
import resource, numpy as np, torch
from types import SimpleNamespace
from behavior_scaling.evaluate.kinds import Kinds
from behavior_scaling.evaluate.lists import Coverage
from behavior_scaling.evaluate.scoring import Catalogue
from behavior_scaling.evaluate.tally import Asked, Tally

def rank(vectors):
    n = len(vectors)
    codes = np.arange(n, dtype=np.int32)[:, None]
    kinds = Kinds(SimpleNamespace(codes=codes, weights=codes.view(np.float32), n_items=n))
    catalogue = Catalogue(kinds, vectors)
    coverage = Coverage(kinds, 10, torch.device("cpu"))
    states = torch.randn(512, 8).split(catalogue.rows())
    tallies = []
    for some in states:
        rows = torch.arange(len(some))
        asked = Asked(rows, rows * (n // len(some)), rows)
        tallies.append(Tally(asked, len(some), kinds, catalogue.scratch, coverage))
    catalogue.read(states, [tally.readers for tally in tallies])
    return [tally.counted("all") for tally in tallies]

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

torch.set_num_threads(1)
with torch.inference_mode():
    rank(torch.randn(2_000, 8))
    vectors = torch.randn(300_000, 8)
    before = peak()
    rank(vectors)
print(peak() - before)
"""


def test_ranking_300_000_items_adds_little_memory():
    """The matrix of scores would be 586 MiB; what is allowed holds blocks and a few ints an item.

    Kinds are found here too: a hash, its sort and its check, some 30 bytes an item for a while.
    """
    done = subprocess.run(
        [sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 64
