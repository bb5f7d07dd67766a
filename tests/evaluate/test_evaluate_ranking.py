"""Evaluation against brute force: argsort, loops and sets on a stub model with many ties."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from behavior_scaling.data.slices import popularity_head
from behavior_scaling.data.store import Dataset
from behavior_scaling.evaluate import ranking, scoring
from behavior_scaling.evaluate.ranking import (
    Evaluation,
    NonFiniteScoresError,
    evaluate,
    listed_events,
)
from behavior_scaling.model.objective import Objective
from behavior_scaling.model.two_part import TwoPart
from behavior_scaling.records.spec import ContextualizerSpec, EmbedderSpec, ObjectiveSpec

SPLITS = {"validation": 1, "test": 2}


@dataclass
class LastItem:
    """Scores every item by its dot product with the last item: exact in small integers."""

    vectors: Tensor  # [V, d]
    event_features = ()

    def catalogue_vectors(self) -> Tensor:
        return self.vectors

    def states(self, vectors: Tensor, document: Tensor, events: None) -> Tensor:
        return vectors

    def scale(self) -> Tensor:
        return torch.tensor(0.5)


@pytest.fixture
def last_item(world: Dataset) -> LastItem:
    rng = np.random.default_rng(3)
    vectors = rng.integers(-2, 3, (world.n_items, 3)).astype(np.float32)
    vectors[4] = vectors[3]  # the same features, hence the same vector
    return LastItem(torch.from_numpy(vectors))


def make_objective(world: Dataset, kind: str) -> Objective:
    spec = ObjectiveSpec(kind, 0 if kind == "full" else 8, 0, "mask")
    return Objective(spec, torch.tensor(world.unigram))


@pytest.fixture(params=["full", "as_paper"])
def objective(world: Dataset, request: pytest.FixtureRequest) -> Objective:
    return make_objective(world, request.param)


def scores_before(world: Dataset, model: LastItem, event: int, extra: np.ndarray) -> np.ndarray:
    vectors = model.vectors.numpy()
    raw = (vectors[world.items[event - 1]] * np.float32(0.5)) @ vectors.T
    return raw + extra


def counts(scores: np.ndarray, item: int) -> tuple[int, int, float]:
    """By sorting, not counting: rank interval of the item among all orders that fit."""
    ordered = scores[np.argsort(-scores, kind="stable")]
    first = int(np.flatnonzero(ordered == scores[item])[0])
    last = int(np.flatnonzero(ordered == scores[item])[-1])
    shares = np.exp(scores.astype(np.float64) - scores.max())
    return first, last - first, math.log(shares[item] / shares.sum())


def frame(evaluation: Evaluation) -> pd.DataFrame:
    return pd.DataFrame(evaluation.ranks.columns())


def added(world: Dataset, objective: Objective, score: str) -> np.ndarray:
    if score == "raw" or objective.spec.kind != "as_paper":
        return np.zeros(world.n_items, dtype=np.float32)
    return np.log(1 - (1 - world.unigram) ** 8).astype(np.float32)  # M = 8, K = 0


@pytest.mark.parametrize("score", ["raw", "restored"])
def test_positions_have_the_ranks_that_sorting_gives(world, last_item, objective, score):
    extra = added(world, objective, score)
    rows = frame(evaluate(last_item, objective, world))
    rows = rows[~rows.basket]
    user_of = np.searchsorted(world.offsets, np.arange(world.n_events), side="right") - 1
    for split, code in SPLITS.items():
        part = rows[rows.split == code].set_index("event")
        assert part.index.tolist() == world.eval_events(split).tolist()
        for event, row in part.iterrows():
            item = world.items[event]
            higher, equal, logp = counts(scores_before(world, last_item, event, extra), item)
            assert (row[f"higher_{score}"], row[f"equal_{score}"]) == (higher, equal)
            assert row[f"logp_{score}"] == pytest.approx(logp, abs=2e-6)
            assert row.user == user_of[event]
            assert row.state == event
            assert row.session_start == (world.sessions[event] != world.sessions[event - 1])
            assert row.cold == (world.train_counts[item] == 0)
            assert row["head"] == popularity_head(world.train_counts)[item]
            assert row.seen_user == world.user_in_train[row.user]
    assert rows.session_start.nunique() == rows.cold.nunique() == rows.seen_user.nunique() == 2
    assert (rows.equal_raw > 0).mean() > 0.1  # the stub does make ties


def test_baskets_hold_each_item_of_a_session_once_ranked_from_before_it(
    world, last_item, objective
):
    extra = added(world, objective, "restored")
    rows = frame(evaluate(last_item, objective, world))
    found = {
        (row.state, row.event): (row.higher_restored, row.equal_restored)
        for row in rows[rows.basket].itertuples()
    }
    expected = {}
    for event in np.concatenate([world.eval_events(split) for split in SPLITS]):
        if world.sessions[event] == world.sessions[event - 1]:
            continue
        seen = set()
        later = event
        while later < world.n_events and world.sessions[later] == world.sessions[event]:
            item = world.items[later]
            if item not in seen:
                scores = scores_before(world, last_item, event, extra)
                expected[(event, later)] = counts(scores, item)[:2]
            seen.add(item)
            later += 1
    assert found == expected
    sizes = pd.Series([state for state, _ in expected]).value_counts()
    assert sizes.max() > 2


@pytest.mark.parametrize("score", ["raw", "restored"])
def test_coverage_counts_the_items_of_the_lists(world, last_item, objective, score, monkeypatch):
    monkeypatch.setattr(ranking, "LISTS", 7)
    monkeypatch.setattr(ranking, "LIST_LENGTH", 3)
    extra = added(world, objective, score)
    coverage = evaluate(last_item, objective, world).coverage
    for split in SPLITS:
        targets = world.eval_events(split)
        recommended = set()
        for event in targets[[i * len(targets) // 7 for i in range(7)]]:
            scores = scores_before(world, last_item, event, extra)
            order = sorted(range(world.n_items), key=lambda item: (-scores[item], item))
            recommended |= set(order[:3])
        expected = len(recommended) / world.n_items
        assert coverage[f"{split}/{score}/all/coverage@3"] == pytest.approx(expected)


def test_lists_are_spread_evenly_and_all_where_there_are_few():
    assert listed_events(np.arange(4_999)).tolist() == list(range(4_999))
    spread = listed_events(np.arange(15_000))
    assert len(spread) == 5_000
    assert set(np.diff(spread)) == {3}


def test_blocks_of_any_size_give_the_same_table(world, last_item, monkeypatch):
    objective = make_objective(world, "as_paper")
    whole = frame(evaluate(last_item, objective, world))
    monkeypatch.setitem(scoring.BLOCK, "cpu", 1)
    for rows in (1, 3):
        monkeypatch.setattr(scoring, "FEWEST_ROWS", rows)
        pd.testing.assert_frame_equal(frame(evaluate(last_item, objective, world)), whole)


def two_part(world: Dataset) -> TwoPart:
    return TwoPart(
        EmbedderSpec("mlp", 8, 1),
        ContextualizerSpec("transformer", 8, 2, 1),
        torch.tensor(world.codes),
        torch.tensor(world.weights),
        world.meta.spec.codebook,
        seed=1,
    )


def test_items_of_the_same_features_tie_exactly(world):
    rows = frame(evaluate(two_part(world), make_objective(world, "full"), world))
    twins = np.isin(world.items[rows.event], [3, 4])
    assert twins.sum() > 5
    assert (rows.equal_raw[twins] == 1).all()
    assert (rows.equal_raw[~twins] == 0).all()


def test_the_future_does_not_change_what_was_predicted_before_it(world):
    model, objective = two_part(world), make_objective(world, "full")
    before = frame(evaluate(model, objective, world))
    # Of every user's evaluation events the second half changes places.
    rng = np.random.default_rng(0)
    items, early = world.items.copy(), np.zeros(world.n_events, dtype=bool)
    for user in range(world.n_users):
        own = np.arange(world.offsets[user], world.offsets[user + 1])
        late = own[world.split[own] > 0]
        early[late[: len(late) // 2]] = True
        rest = late[len(late) // 2 :]
        items[rest] = rng.permutation(items[rest])
    after = frame(evaluate(model, objective, replace(world, items=items)))
    kept = before[~before.basket & early[before.event]]
    changed = before[~before.basket & ~early[before.event]]
    assert len(kept) > 50
    pd.testing.assert_frame_equal(kept, after.loc[kept.index])
    assert (changed.logp_raw != after.loc[changed.index].logp_raw).any()


def test_a_model_reads_as_much_history_as_its_windows_give(world):
    """States from the windows equal those from each target's own history, one by one."""
    model = two_part(world)
    rows = frame(evaluate(model, make_objective(world, "full"), world))
    vectors = model.catalogue_vectors()
    checked = 0
    for row in rows[~rows.basket].itertuples():
        first = world.offsets[row.user]
        if row.event - first > 4:  # context 8, stride 4: up to 4 events are all seen for certain
            continue
        past = torch.tensor(world.items[first : row.event].astype(np.int64))[None]
        with torch.no_grad():
            state = model.states(vectors[past], torch.zeros_like(past, dtype=torch.int32))
            logp = (state[0, -1] * model.scale() @ vectors.T).log_softmax(0)
        assert row.logp_raw == pytest.approx(float(logp[world.items[row.event]]), abs=1e-5)
        checked += 1
    assert checked > 20


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_scores_that_are_not_finite_are_refused(world, last_item, bad):
    last_item.vectors[7, 0] = bad
    with pytest.raises(NonFiniteScoresError, match="validation: the raw scores"):
        evaluate(last_item, make_objective(world, "full"), world)
