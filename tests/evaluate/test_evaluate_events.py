"""Event features leak nothing: what a score may depend on, event by event."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from behavior_scaling.data.event_columns import EventColumns
from behavior_scaling.data.store import Dataset
from behavior_scaling.evaluate.kinds import kinds_of
from behavior_scaling.evaluate.ranking import evaluate
from behavior_scaling.evaluate.sample import sample_cross_entropy, validation_sample
from behavior_scaling.evaluate.scoring import Catalogue
from behavior_scaling.model.event_input import EventTables
from behavior_scaling.model.objective import Objective
from behavior_scaling.model.two_part import TwoPart
from behavior_scaling.records.spec import ContextualizerSpec, EmbedderSpec, ObjectiveSpec

FEATURES = ("gap", "type")
LEVELS = 6


@pytest.fixture
def columns(world: Dataset, monkeypatch: pytest.MonkeyPatch) -> EventColumns:
    """Random levels of three features, of which the model sees two; they may be written to."""
    rng = np.random.default_rng(8)
    levels = rng.integers(0, LEVELS, (world.n_events, 3)).astype(np.uint16)
    columns = EventColumns(
        levels,
        np.arange(4) * LEVELS,
        rng.integers(0, world.meta.spec.codebook, (3 * LEVELS, 2)).astype(np.int32),
        np.ones((3 * LEVELS, 2), np.float32),
        ("gap", "calendar", "type"),
    )
    monkeypatch.setattr(Dataset, "event_columns", lambda self: columns, raising=False)
    return columns


@pytest.fixture
def model(world: Dataset, columns: EventColumns) -> TwoPart:
    return TwoPart(
        EmbedderSpec("mlp", 8, 1),
        ContextualizerSpec("transformer", 8, 2, 1, FEATURES, 4),
        torch.tensor(world.codes),
        torch.tensor(world.weights),
        world.meta.spec.codebook,
        seed=1,
        events=EventTables.of(columns),
    )


@pytest.fixture
def objective(world: Dataset) -> Objective:
    return Objective(ObjectiveSpec("full", 0, 0, "mask"), torch.tensor(world.unigram))


def scores(model: TwoPart, objective: Objective, world: Dataset) -> pd.Series:
    """Log-probability of every target, by its event."""
    rows = pd.DataFrame(evaluate(model, objective, world).ranks.columns())
    return rows[~rows.basket].set_index("event").logp_raw.sort_index()


def test_future_events_features_change_no_earlier_score(world, columns, model, objective):
    """Of every user's evaluation events the features of the later half are drawn anew."""
    before = scores(model, objective, world)
    late = np.zeros(world.n_events, dtype=bool)
    for user in range(world.n_users):
        own = np.arange(world.offsets[user], world.offsets[user + 1])
        own = own[world.split[own] > 0]
        late[own[len(own) // 2 :]] = True
    rng = np.random.default_rng(9)
    columns.levels[late] = rng.integers(0, LEVELS, (int(late.sum()), 3))
    after = scores(model, objective, world)
    # Targets up to the first late event of a user: that event's own features do not count.
    untouched = ~late[before.index] | ~late[before.index - 1]
    assert 50 < untouched.sum() < len(before)
    pd.testing.assert_series_equal(before[untouched], after[untouched])
    assert (before[~untouched] != after[~untouched]).mean() > 0.5


def test_a_targets_own_features_do_not_count_and_an_inputs_do(world, columns, model, objective):
    before = scores(model, objective, world)
    owner = np.searchsorted(world.offsets, np.arange(world.n_events), side="right") - 1
    for event in before.index[::9]:
        kept = columns.levels[event].copy()
        columns.levels[event, [0, 2]] = (kept[[0, 2]] + 1) % LEVELS
        after = scores(model, objective, world)
        columns.levels[event] = kept
        moved = before.index[before != after]
        assert all(moved > event)
        assert set(owner[moved]) <= {owner[event]}
        follower = event + 1
        if follower in before.index and owner[follower] == owner[event]:
            assert follower in moved


def test_a_feature_that_was_not_chosen_is_not_seen(world, columns, model, objective):
    before = scores(model, objective, world)
    columns.levels[:, 1] = (columns.levels[:, 1] + 1) % LEVELS
    pd.testing.assert_series_equal(before, scores(model, objective, world))


def test_scores_are_those_of_a_targets_own_history(world, columns, model, objective):
    """Where the history is short enough to be seen whole: one row a target, nothing packed."""
    vectors, first = model.catalogue_vectors(), columns.offsets[[0, 2]]
    found = scores(model, objective, world)
    owner = np.searchsorted(world.offsets, found.index, side="right") - 1
    checked = 0
    for event, user in zip(found.index, owner, strict=True):
        past = np.arange(world.offsets[user], event)
        if len(past) > 4:
            continue
        rows = torch.tensor(first + columns.levels[past][:, [0, 2]].astype(np.int64))[None]
        items = torch.tensor(world.items[past].astype(np.int64))[None]
        with torch.no_grad():
            state = model.states(vectors[items], torch.zeros_like(items).int(), rows)
            logp = (state[0, -1] * model.scale() @ vectors.T).log_softmax(0)
        assert found[event] == pytest.approx(float(logp[world.items[event]]), abs=1e-5)
        checked += 1
    assert checked > 20


def test_the_sample_reads_the_same_features(world, columns, model, objective):
    sample = validation_sample(world, FEATURES)
    catalogue = Catalogue(kinds_of(world, model), model.catalogue_vectors())
    found = sample_cross_entropy(model, objective, catalogue, sample)
    wanted = -scores(model, objective, world)[sample.event[sample.valid]].mean()
    assert found == pytest.approx(wanted, abs=1e-5)
