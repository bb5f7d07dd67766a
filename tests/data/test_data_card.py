"""Facts of a data card: counted by hand on a tiny data set, and by loops on a random one."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from behavior_scaling.config_parts import DataConfig
from behavior_scaling.data import card
from behavior_scaling.data.card import CardFacts, card_facts
from behavior_scaling.data.prepare import prepare_tables
from behavior_scaling.data.sequence_counts import Slice
from behavior_scaling.data.store import CONTEXT, Dataset
from behavior_scaling.data.tables import FeatureSchema, Tables
from behavior_scaling.data.tally import EXACT, QUANTILES, Tally
from behavior_scaling.data.timeline import timeline, unit_of


@pytest.fixture
def hand(prepared, halves) -> CardFacts:
    """11 events, 6 of them train; sessions end after 10 s of silence; item 4 is never met.

    p, a test user: 0 1 0 | 0 | 2 at 0 0 5 | 50 | 100; q, a validation user: 1 1 | 3 0 at
    20 21 | 101 101; v, a validation user without train events: 0 1 at 102 103.
    """
    p, (q, v) = halves["test"][0], halves["validation"][:2]
    lines = [(p, 0, 0), (p, 1, 0), (p, 0, 5), (p, 0, 50), (p, 2, 100)]
    lines += [(q, 1, 20), (q, 1, 21), (q, 3, 101), (q, 0, 101), (v, 0, 102), (v, 1, 103)]
    return card_facts(prepared(lines, 5, session_gap=10))


def test_counts_by_hand(hand) -> None:
    assert hand.counts == card.Counts(
        events=11,
        dropped=0,
        users=3,
        items=5,
        by_split={"train": 6, "validation": 4, "test": 1},
        users_in_train=2,
        items_in_train=2,
        unique_positions=4,
    )
    assert (hand.first, hand.last, hand.t1) == (0, 103, 100)
    assert hand.timeline.unit == "hour"
    assert hand.timeline.starts == [0]
    assert hand.timeline.events == {"train": [6], "validation": [4], "test": [1]}


def test_sequences_by_hand(hand) -> None:
    assert hand.lengths.bins == [(2, 4, 1), (4, 8, 2)]
    assert (hand.lengths.mean, hand.lengths.greatest) == (11 / 3, 5)
    # Lengths 3 1 1 2 2 2; transitions inside a session: p 2, q 1 + 1, v 1, of 4 + 3 + 1.
    assert hand.sessions.bins == [(1, 2, 2), (2, 4, 4)]
    assert hand.inside == 5 / 8
    # Gaps 0 0 1 1 5 45 50 80.
    assert hand.gaps.n == 8
    assert hand.gaps.mean == 182 / 8
    assert hand.zero_gaps == 2 / 8
    assert hand.gaps.quantiles == {
        "0.05": 0, "0.25": 0, "0.5": 1, "0.75": 45, "0.95": 80, "0.99": 80,
    }  # fmt: skip
    assert hand.gaps.bins[:2] == [(0, 1, 2), (1, 2, 2)]
    assert hand.gaps.bins[-1] == (64, 128, 1)


def test_repeats_by_hand(hand) -> None:
    # p: 0 two events back, then 0 again at once; q: 1 at once.
    assert hand.repeats is not None
    assert hand.repeats.ever == 3 / 8
    assert hand.repeats.within["1"] == 2 / 8
    assert {hand.repeats.within[str(lag)] for lag in card.LAGS[1:]} == {3 / 8}


def test_targets_by_hand(hand) -> None:
    # Head: item 0, which has 3 of the 6 train events; item 1 has the others.
    one, none = Slice(1, 1), Slice(0, 0)
    assert hand.targets["test"] == {
        "all": one, "session_start": one, "in_session": none, "seen_user": one,
        "unseen_user": none, "cold_item": one, "popular_head": none, "popular_tail": none,
    }  # fmt: skip
    assert hand.targets["validation"] == {
        "all": Slice(3, 2), "session_start": one, "in_session": Slice(2, 2),
        "seen_user": Slice(2, 1), "unseen_user": one, "cold_item": one, "popular_head": one,
        "popular_tail": one,
    }  # fmt: skip


def test_popularity_by_hand(prepared) -> None:
    # Train counts 3 and 1: mean difference over ordered pairs 4 / 4, Gini 1 / (2 * mean 2).
    lines = [(1, 0, 0), (1, 1, 1), (2, 0, 2), (3, 0, 3), (3, 1, 100)]
    facts = card_facts(prepared(lines, 3))
    assert facts.popularity == card.Popularity(
        ranks=[1, 2], events=[3, 1], top_items=1, top_share=0.75, gini=0.25
    )
    assert facts.unigram_entropy == pytest.approx(0.75 * math.log(4 / 3) + 0.25 * math.log(4))


def test_popularity_of_equals(prepared) -> None:
    facts = card_facts(prepared([(u, u % 8, u) for u in range(16)] + [(0, 0, 100)], 8))
    assert facts.unigram_entropy == pytest.approx(math.log(8))
    assert facts.popularity.gini == pytest.approx(0)
    assert facts.popularity.top_share == 1 / 8


def test_gini_is_the_mean_difference_over_twice_the_mean(prepared, random_lines) -> None:
    dataset = prepared(random_lines(), 12)
    counts = dataset.train_counts[dataset.train_counts > 0].astype(float)
    gini = np.abs(counts[:, None] - counts).mean() / (2 * counts.mean())
    assert card_facts(dataset).popularity.gini == pytest.approx(gini)


def looped(dataset: Dataset) -> tuple[int, list[int], list[int], list[int]]:
    """Transitions inside sessions, gaps, lags, session lengths, one event after the other."""
    inside, gaps, lags, sessions = 0, [], [], []
    for user in range(dataset.n_users):
        begin, end = dataset.offsets[user : user + 2].tolist()
        for event in range(begin, end):
            if event == begin or dataset.sessions[event] != dataset.sessions[event - 1]:
                sessions.append(0)
            sessions[-1] += 1
            if event == begin:
                continue
            inside += int(dataset.sessions[event] == dataset.sessions[event - 1])
            gaps.append(int(dataset.times[event] - dataset.times[event - 1]))
            before = [b for b in range(begin, event) if dataset.items[b] == dataset.items[event]]
            if before:
                lags.append(event - before[-1])
    return inside, gaps, lags, sessions


@pytest.mark.parametrize("events", [1, 7, 2_000_000])
def test_any_chunk_gives_what_a_loop_gives(prepared, random_lines, monkeypatch, events) -> None:
    dataset = prepared(random_lines(seed=events), 12, session_gap=5)
    monkeypatch.setattr(card, "_EVENTS", events)
    facts = card_facts(dataset)
    inside, gaps, lags, sessions = looped(dataset)
    assert facts.inside == inside / len(gaps)
    assert facts.zero_gaps == gaps.count(0) / len(gaps)
    assert facts.gaps.mean == pytest.approx(np.mean(gaps))
    assert facts.repeats is not None
    assert facts.repeats.ever == len(lags) / len(gaps)
    for lag, share in facts.repeats.within.items():
        assert share == sum(one <= int(lag) for one in lags) / len(gaps)
    assert facts.sessions.n == len(sessions)
    assert (
        list(facts.sessions.quantiles.values())
        == np.quantile(sessions, QUANTILES, method="inverted_cdf").tolist()
    )
    for half in ("validation", "test"):
        assert facts.targets[half]["all"].positions == dataset.meta.eval_positions[half]
        starts = dataset.eval_events(half)
        starts = starts[dataset.sessions[starts] != dataset.sessions[starts - 1]]
        assert facts.targets[half]["session_start"].positions == len(starts)


def test_facts_are_json(hand) -> None:
    body = json.loads(json.dumps(dataclasses.asdict(hand), allow_nan=False))
    assert body["settings"]["source"] == "tiny"
    assert body["targets"]["test"]["all"] == {"positions": 1, "users": 1}


def test_context_events_are_counted_apart(prepared, random_lines) -> None:
    dataset = prepared(random_lines(), 12, train_users=0.5)
    counts = card_facts(dataset).counts
    assert counts.by_split["context"] == int((dataset.split == CONTEXT).sum()) > 0
    assert sum(counts.by_split.values()) == dataset.n_events


def test_split_without_a_cut(prepared, random_lines) -> None:
    facts = card_facts(prepared(random_lines(), 12, split="leave_one_out"))
    assert facts.t1 is None
    assert facts.settings["split"] == "leave_one_out"


def test_features_and_what_they_lack(tmp_path: Path) -> None:
    events = pd.DataFrame(
        {
            "user_id": [1, 1, 1, 1, 2, 2, 2, 2],
            "item_id": [0, 1, 2, 3, 0, 1, 2, 3],
            "timestamp": range(8),
            "action": ["add", None, "add", "edit", None, "add", None, "add"],
            "price": [1.0, 2.0, None, 4.0, 5.0, 6.0, 7.0, 8.0],
        }
    )
    items = pd.DataFrame(
        {"item_id": range(4), "kind": ["a", None, "b", "a"], "size": [1.0, 2.0, 3.0, 4.0]}
    )
    schema = FeatureSchema(
        (("kind", "categorical"), ("size", "numeric")),
        (("action", "categorical"), ("price", "numeric")),
    )
    config = DataConfig(source="tiny", train_fraction=0.7, least_targets=0)
    dataset = prepare_tables(Tables(events, items, schema), config, tmp_path / "tiny")
    features = card_facts(dataset).features
    assert features.missing == {"kind": 0.25, "size": 0.0}
    assert features.event_missing == {"action": 3 / 8, "price": 1 / 8}
    assert features.tokens.n == 4
    assert features.tokens.mean == (dataset.weights > 0).sum() / 4


def test_no_transition_is_none_not_zero(prepared) -> None:
    facts = card_facts(prepared([(user, 0, 10 * user) for user in range(12)], 1))
    assert (facts.inside, facts.repeats, facts.zero_gaps) == (None, None, None)
    assert facts.gaps.n == 0
    assert facts.gaps.mean is None


def test_tally_against_numpy() -> None:
    rng = np.random.default_rng(3)
    values = np.exp(rng.uniform(0, 25, 20_000)).astype(np.int64) - 1
    tally = Tally()
    for part in np.array_split(values, 9):
        tally.add(part)
    spread = tally.spread()
    exact = np.quantile(values, QUANTILES, method="inverted_cdf")
    found = np.array(list(spread.quantiles.values()))
    assert (found <= exact).all()
    assert (found >= exact * (1 - 1 / 256)).all()
    assert (found[exact < EXACT] == exact[exact < EXACT]).all()
    assert spread.mean == pytest.approx(values.mean())
    assert spread.greatest == values.max()
    assert sum(count for _, _, count in spread.bins) == len(values)
    for low, high, count in spread.bins:
        assert count == ((values >= low) & (values < high)).sum()
    for value in (0, 1, 10, EXACT - 1):
        assert tally.within(value) == (values <= value).sum()
    with pytest.raises(ValueError, match="512"):
        tally.within(EXACT)


def test_tally_of_nothing_and_of_zeros() -> None:
    tally = Tally()
    tally.add(np.empty(0, dtype=np.int64))
    assert tally.spread().n == 0
    assert tally.spread().mean is None
    tally.add(np.zeros(3, dtype=np.int64))
    assert tally.spread().bins == [(0, 1, 3)]
    assert tally.spread().quantiles["0.5"] == 0


DAY = 86_400


@pytest.mark.parametrize(
    ("days", "unit"),
    [(1, "hour"), (30, "day"), (900, "week"), (9_000, "month"), (40_000, "year")],
)
def test_units_suit_the_span(days: int, unit: str) -> None:
    assert unit_of(0, days * DAY) == unit


@pytest.mark.parametrize(("days", "period"), [(100, "D"), (700, "W"), (5_000, "M"), (40_000, "Y")])
def test_timeline_against_calendar_periods(days: int, period: str) -> None:
    rng = np.random.default_rng(days)
    times = np.sort(rng.integers(-3 * DAY, days * DAY, 500))
    split = rng.integers(0, 2, 500).astype(np.uint8)
    parts = zip(np.array_split(times, 4), np.array_split(split, 4), strict=True)
    found = timeline(parts, int(times[0]), int(times[-1]), {"early": 0, "late": 1, "never": 2})
    assert list(found.events) == ["early", "late"]
    for code, name in enumerate(("early", "late")):
        stamps = pd.to_datetime(times[split == code], unit="s")
        periods = pd.Series(1, index=stamps.to_period(period)).groupby(level=0).sum()
        counted = {
            int(one.start_time.timestamp()): int(n) for one, n in periods.items()
        }  # a week of pandas begins on Monday too
        shown = dict(zip(found.starts, found.events[name], strict=True))
        assert {start: n for start, n in shown.items() if n} == counted
