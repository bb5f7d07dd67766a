"""Floors by slice, of baskets, under other splits, and on data too large to count whole."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from behavior_scaling.data import baselines, item_knn, markov, transitions
from behavior_scaling.data.baselines import RULES, floors, recency_ranks
from behavior_scaling.data.baskets import basket_rows
from behavior_scaling.data.errors import DataError
from behavior_scaling.data.item_knn import counted_events, item_knn_ranks, similarities
from behavior_scaling.data.markov import fit_lambda, holdout_start, markov_ranks
from behavior_scaling.data.rank_gains import expected
from behavior_scaling.data.slices import event_flags
from behavior_scaling.data.store import Dataset
from behavior_scaling.data.transitions import train_pairs
from behavior_scaling.data.windows import eval_windows

TRAIN, VALIDATION, TEST, CONTEXT = 0, 1, 2, 3
SLICES = [
    "all", "session_start", "in_session", "seen_user", "unseen_user", "cold_item",
    "popular_head", "popular_tail",
]  # fmt: skip


@pytest.fixture
def drawn(prepared, random_lines) -> Dataset:
    """40 users; a fifth of them only late; sessions of one to four events; cold items."""
    lines = random_lines(n_users=40, n_items=25, most=40)
    lines = [(u, i if t >= 100 else i % 20, t) for u, i, t in lines if t >= 100 or u % 5]
    dataset = prepared(lines, 30)
    rng = np.random.default_rng(1)
    opens = rng.random(dataset.n_events) < 0.4
    opens[dataset.offsets[:-1]] = True
    return replace(dataset, sessions=np.cumsum(opens, dtype=np.int32))


def recoded(dataset: Dataset, split: np.ndarray) -> Dataset:
    """The same events under other split codes, counted anew."""
    trained = split == TRAIN
    user = np.repeat(np.arange(dataset.n_users), np.diff(dataset.offsets))
    counts = np.bincount(dataset.items[trained], minlength=dataset.n_items).astype(np.int64)
    seen = np.bincount(user[trained], minlength=dataset.n_users) > 0
    return replace(dataset, split=split.astype(np.uint8), train_counts=counts, user_in_train=seen)


@pytest.fixture
def last_two(drawn) -> Dataset:
    """A user's last event is for test, the one before for validation, the rest for training."""
    split = np.zeros(drawn.n_events, dtype=np.uint8)
    ends = drawn.offsets[1:]
    long = np.diff(drawn.offsets) > 3
    split[ends[long] - 1], split[ends[long] - 2] = TEST, VALIDATION
    return recoded(drawn, split)


def owners(dataset: Dataset) -> np.ndarray:
    return np.repeat(np.arange(dataset.n_users), np.diff(dataset.offsets))


def dense_scores(dataset: Dataset, rule: str, states: np.ndarray) -> np.ndarray:
    """Scores of all items in each state [P, V], event by event, from TRAIN events only."""
    user, n_items = owners(dataset), dataset.n_items
    trained = dataset.split == TRAIN
    if rule == "unigram":
        return np.tile(np.bincount(dataset.items[trained], minlength=n_items), (len(states), 1))
    if rule == "markov":
        counts = np.zeros((n_items, n_items))
        for event in range(1, dataset.n_events):
            if trained[event] and trained[event - 1] and user[event] == user[event - 1]:
                counts[dataset.items[event - 1], dataset.items[event]] += 1
        totals = counts.sum(1, keepdims=True)
        share = np.where(totals > 0, fit_lambda(dataset), 0)
        unigram = np.bincount(dataset.items[trained], minlength=n_items) + 0.5
        table = share * counts / np.maximum(totals, 1) + (1 - share) * unigram / unigram.sum()
        return np.asarray(table[dataset.items[states - 1]])
    met = np.zeros((dataset.n_users, n_items))
    met[user[trained], dataset.items[trained]] = 1
    n = met.sum(0)
    similar = (met.T @ met) / (np.sqrt(np.outer(n, n)) + 10)
    np.fill_diagonal(similar, 0)
    scores = np.zeros((len(states), n_items))
    for row, state in enumerate(states):
        history = dataset.items[dataset.offsets[user[state]] : state]
        for place, item in enumerate(history):
            if rule == "recency":
                scores[row, item] = place + 1
        if rule == "item_knn":
            scores[row] = similar[np.unique(history[-50:])].sum(0)
    return scores


def brute(dataset: Dataset, rule: str, events: np.ndarray, states: np.ndarray):
    scores = dense_scores(dataset, rule, states).round(11)
    own = scores[np.arange(len(events)), dataset.items[events]][:, None]
    return (scores > own).sum(1), (scores == own).sum(1) - 1


def check(dataset: Dataset, rule: str, events: np.ndarray, states: np.ndarray) -> None:
    assert len(events) > 20
    ranks = RULES[rule](dataset, events, states)
    higher, equal = brute(dataset, rule, events, states)
    np.testing.assert_array_equal(ranks.higher, higher)
    np.testing.assert_array_equal(ranks.equal, equal)


def test_flags_are_those_that_models_carry(drawn) -> None:
    targets = drawn.eval_events("validation")
    flags = event_flags(drawn, targets)
    found = {}
    for batch in eval_windows(drawn, "validation", 8):
        pairs = zip(batch.event[batch.valid], batch.session_start[batch.valid], strict=True)
        found |= {int(event): bool(start) for event, start in pairs}
    assert flags["session_start"].tolist() == [found[event] for event in targets.tolist()]
    assert 0 < flags["session_start"].sum() < len(targets)
    user = owners(drawn)[targets]
    assert flags["seen_user"].tolist() == [
        bool(((owners(drawn) == u) & (drawn.split == TRAIN)).any()) for u in user
    ]
    early = set(drawn.items[drawn.split == TRAIN].tolist())
    assert flags["cold"].tolist() == [i not in early for i in drawn.items[targets].tolist()]
    assert not flags["seen_user"].all()
    assert flags["cold"].any()


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("split", ["validation", "test"])
def test_slices_are_means_over_their_positions(drawn, rule, split) -> None:
    found = floors(drawn)[split]
    targets = drawn.eval_events(split)
    higher, equal = brute(drawn, rule, targets, targets)
    recall, mrr = expected("recall", 10, higher, equal), expected("mrr", 10, higher, equal)
    flags = event_flags(drawn, targets)
    mask = {
        "all": recall > -1, "session_start": flags["session_start"],
        "in_session": ~flags["session_start"], "seen_user": flags["seen_user"],
        "unseen_user": ~flags["seen_user"], "cold_item": flags["cold"],
        "popular_head": flags["head"], "popular_tail": ~flags["head"] & ~flags["cold"],
    }  # fmt: skip
    assert list(found) == SLICES
    for name, own in mask.items():
        values = found[name][rule]
        assert values["n_positions"] == own.sum()
        assert values["n_users"] == len(set(owners(drawn)[targets[own]].tolist()))
        assert values["recall@10"] == pytest.approx(recall[own].mean())
        assert values["mrr@10"] == pytest.approx(mrr[own].mean())
    assert mask["unseen_user"].any()
    assert mask["cold_item"].any()


def test_an_empty_slice_has_no_numbers(drawn) -> None:
    whole = replace(drawn, user_in_train=np.ones(drawn.n_users, dtype=bool))
    values = floors(whole)["test"]["unseen_user"]["markov"]
    assert (values["n_positions"], values["n_users"]) == (0, 0)
    assert values["recall@10"] is values["cross_entropy"] is None


@pytest.mark.parametrize("rule", RULES)
def test_baskets_are_ranked_from_the_state_before_them(drawn, rule) -> None:
    targets = drawn.eval_events("validation")
    opening = targets[drawn.sessions[targets] != drawn.sessions[targets - 1]]
    by_user: dict[int, list[tuple[float, float]]] = {}
    for start in opening.tolist():
        items = drawn.items[drawn.sessions == drawn.sessions[start]]
        scores = dense_scores(drawn, rule, np.array([start])).round(11)[0]
        hits = []
        for item in set(items.tolist()):
            higher = np.array([(scores > scores[item]).sum()])
            equal = np.array([(scores == scores[item]).sum() - 1])
            gain = expected("recall", 10, higher, equal)[0], expected("ndcg", 10, higher, equal)[0]
            hits.append(gain)
        ideal = (1 / np.log2(np.arange(2, 12)))[: len(hits)].sum()
        sums = np.sum(hits, axis=0)
        by_user.setdefault(int(owners(drawn)[start]), []).append(
            (sums[0] / len(hits), sums[1] / ideal)
        )
    wanted = np.mean([np.mean(each, axis=0) for each in by_user.values()], axis=0)

    found = floors(drawn)["validation"]["session_start"][rule]

    assert max(np.bincount(drawn.sessions)) > 3
    assert found["basket_recall@10"] == pytest.approx(wanted[0])
    assert found["basket_ndcg@10"] == pytest.approx(wanted[1])
    assert "basket_recall@10" not in floors(drawn)["validation"]["all"][rule]


def test_a_basket_ends_with_its_split(last_two) -> None:
    merged = replace(last_two, sessions=owners(last_two).astype(np.int32))  # one session a user
    opening = last_two.eval_events("validation")
    rows = basket_rows(merged, opening)
    assert rows.event.tolist() == opening.tolist()  # the test event after each is left out


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("split", ["validation", "test"])
def test_one_users_validation_event_is_history_of_the_test_event(last_two, rule, split) -> None:
    targets = last_two.eval_events(split)
    check(last_two, rule, targets, targets)
    if rule == "recency" and split == "test":  # the item just seen, a validation event, is first
        assert (
            dense_scores(last_two, rule, targets).argmax(1) == last_two.items[targets - 1]
        ).all()


@pytest.mark.parametrize("rule", RULES)
def test_context_is_read_and_not_counted(drawn, rule) -> None:
    split = drawn.split.copy()
    split[(split == TRAIN) & (owners(drawn) % 3 == 1)] = CONTEXT
    dataset = recoded(drawn, split)
    targets = dataset.eval_events("validation")
    check(dataset, rule, targets, targets)
    whole = RULES[rule](drawn, targets, targets)
    less = RULES[rule](dataset, targets, targets)
    same = np.array_equal(whole.higher, less.higher) and np.array_equal(whole.equal, less.equal)
    assert same == (rule == "recency")  # which counts nothing, and reads the same history


def test_context_does_not_move_lambda(drawn) -> None:
    split = drawn.split.copy()
    out = owners(drawn) % 3 == 1
    split[(split == TRAIN) & out] = CONTEXT
    dataset = recoded(drawn, split)
    kept = dataset.times[dataset.split == TRAIN]
    assert holdout_start(dataset) == np.sort(kept)[int(0.9 * len(kept))]
    items = dataset.items.copy()
    items[out & (split == CONTEXT)] = 0  # whatever they are
    assert fit_lambda(replace(dataset, items=items)) == fit_lambda(dataset)


def test_equal_times_leave_nothing_to_hold_out(drawn) -> None:
    with pytest.raises(DataError, match="no train event is earlier than 7"):
        fit_lambda(replace(drawn, times=np.full(drawn.n_events, 7)))


def test_block_sizes_change_nothing(drawn, last_two, monkeypatch) -> None:
    whole = [floors(drawn), floors(last_two)]
    monkeypatch.setattr(baselines, "_EVENTS", 50)
    monkeypatch.setattr(transitions, "_EVENTS", 37)
    monkeypatch.setattr(transitions, "_PAIRS", 11)
    monkeypatch.setattr(markov, "_ROW_ENTRIES", 9)
    monkeypatch.setattr(item_knn, "_BLOCK", 60)
    assert [floors(drawn), floors(last_two)] == whole


def test_large_splits_are_scored_at_evenly_spread_targets(drawn, monkeypatch) -> None:
    monkeypatch.setattr(baselines, "MOST", 40)
    monkeypatch.setattr(baselines, "MOST_BY_RULE", {"item_knn": 7})
    found = floors(drawn)["validation"]["all"]
    assert [found[rule]["n_positions"] for rule in RULES] == [40, 40, 40, 7]
    targets = drawn.eval_events("validation")
    assert len(targets) > 50
    some = targets[[k * len(targets) // 40 for k in range(40)]]
    higher, equal = brute(drawn, "recency", some, some)
    assert found["recency"]["ndcg@20"] == pytest.approx(expected("ndcg", 20, higher, equal).mean())


def test_costly_neighbours_count_the_last_events_of_each_user(drawn, monkeypatch) -> None:
    lengths = drawn.train_lengths
    monkeypatch.setattr(item_knn, "PRODUCTS", int((np.minimum(lengths, 5) ** 2).sum()) + 1)
    assert counted_events(drawn) == 5
    met = np.zeros((drawn.n_users, drawn.n_items))
    for user in range(drawn.n_users):
        own = np.flatnonzero((owners(drawn) == user) & (drawn.split == TRAIN))[-5:]
        met[user, drawn.items[own]] = 1
    n = met.sum(0)
    similar = (met.T @ met) / (np.sqrt(np.outer(n, n)) + 10)
    np.fill_diagonal(similar, 0)
    np.testing.assert_allclose(similarities(drawn).toarray(), similar)
    some = np.array([3, 11, 12])
    np.testing.assert_allclose(similarities(drawn, some).toarray(), similar[some])
    share = floors(drawn)["test"]["all"]["item_knn"]["train_share"]
    assert share == pytest.approx(np.minimum(lengths, 5).sum() / lengths.sum())
    assert share < 1


def test_lambda_of_fewer_transitions_uses_those_evenly_spread(drawn, monkeypatch) -> None:
    whole = fit_lambda(drawn)
    late = sum(len(after) for _, after in train_pairs(drawn, since=holdout_start(drawn)))
    monkeypatch.setattr(markov, "FITTED", late)
    assert fit_lambda(drawn) == whole
    monkeypatch.setattr(markov, "FITTED", 5)
    assert fit_lambda(drawn) != whole


def test_rules_take_an_item_and_a_state_of_another_event(drawn) -> None:
    """The item of a later event of the session, ranked from the state before the session."""
    rows = basket_rows(drawn, drawn.eval_events("validation"))
    states = drawn.eval_events("validation")[rows.opening]
    later = rows.event > states
    assert later.sum() > 20
    for rule, ranks in (
        ("recency", recency_ranks), ("markov", markov_ranks), ("item_knn", item_knn_ranks),
    ):  # fmt: skip
        found = ranks(drawn, rows.event[later], states[later])
        higher, equal = brute(drawn, rule, rows.event[later], states[later])
        np.testing.assert_array_equal(found.higher, higher)
        np.testing.assert_array_equal(found.equal, equal)
