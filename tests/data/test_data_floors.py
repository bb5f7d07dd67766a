"""Floors by hand on a tiny corpus, and against dense brute force on a random one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from behavior_scaling.data import item_knn
from behavior_scaling.data.baselines import floors, recency_ranks, unigram_ranks
from behavior_scaling.data.errors import DataError
from behavior_scaling.data.item_knn import item_knn_ranks, similarities
from behavior_scaling.data.markov import fit_lambda, markov_ranks
from behavior_scaling.data.rank_gains import Ranks, summary
from behavior_scaling.data.store import Dataset


def counted(scores: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Higher and equal by comparing every item; rounded, so that sums' order is no matter."""
    scores = scores.round(11)
    own = scores[np.arange(len(targets)), targets][:, None]
    return (scores > own).sum(1), (scores == own).sum(1) - 1


def train_pairs(dataset: Dataset, before: int | None = None) -> np.ndarray:
    """Dense counts of train transitions [V, V], optionally of events before a time."""
    counts = np.zeros((dataset.n_items, dataset.n_items))
    for user in range(dataset.n_users):
        span = slice(dataset.offsets[user], dataset.offsets[user + 1])
        kept = dataset.split[span] == 0
        if before is not None:
            kept &= dataset.times[span] < before
        items = dataset.items[span][kept]
        np.add.at(counts, (items[:-1], items[1:]), 1)
    return counts


def floors_of_validation(dataset: Dataset) -> dict[str, dict[str, float | int | None]]:
    return floors(dataset)["validation"]["all"]


def test_ties_are_expectations_over_their_orders() -> None:
    # The target stands first, second or third with equal probability.
    values = summary(Ranks(np.array([0]), np.array([2]), None))

    assert values["cross_entropy"] is None
    assert values["accuracy"] == values["recall@1"] == pytest.approx(1 / 3)
    assert values["recall@5"] == pytest.approx(1)
    assert values["ndcg@1"] == values["mrr@1"] == pytest.approx(1 / 3)
    assert values["ndcg@5"] == pytest.approx((1 + 1 / math.log2(3) + 1 / 2) / 3)
    assert values["mrr@5"] == pytest.approx((1 + 1 / 2 + 1 / 3) / 3)


def test_ties_across_a_cutoff() -> None:
    # Ranks 4..9 are equally likely: two of the six are within 5, all within 10.
    values = summary(Ranks(np.array([3, 60]), np.array([5, 0]), None))

    assert values["recall@5"] == pytest.approx((2 / 6 + 0) / 2)
    assert values["recall@50"] == pytest.approx(1 / 2)
    assert values["mrr@5"] == pytest.approx((1 / 4 + 1 / 5) / 6 / 2)


@pytest.fixture
def hand(prepared, halves) -> Dataset:
    """20 train events of items a, b, c, d = 0..3; the last two, by time, are the holdout.

    Early: user p: a b a b a b a b a (9 events), user q: a b a c a b a b c (9), so that
    c(a) = 4 + 4 = 8 with 7 b and 1 c, c(b) = 4 + 3 = 7 with 6 a and 1 c, c(c) = 1 with 1 a.
    Holdout: p goes on a -> b, q goes on c -> d (never seen).
    Then a validation user v, unseen, with events b, a, d, b.
    """
    p, q = halves["test"][:2]
    v = halves["validation"][0]
    early = [(p, item, 2 * k) for k, item in enumerate([0, 1, 0, 1, 0, 1, 0, 1, 0])]
    early += [(q, item, 2 * k + 1) for k, item in enumerate([0, 1, 0, 2, 0, 1, 0, 1, 2])]
    lines = [*early, (p, 1, 50), (q, 3, 51)]
    lines += [(v, 1, 100), (v, 0, 101), (v, 3, 102), (v, 1, 103)]
    lines += [(halves["test"][2], 2, 100), (halves["test"][2], 2, 101)]
    return prepared(lines, 4)


def test_markov_by_hand(hand) -> None:
    dataset = hand
    # Holdout likelihood: (w 7/8 + (1 - w) u_b) ((1 - w) u_d), the unigram of the 18 early events
    # with 9 a, 7 b, 2 c, 0 d smoothed over 4 items: u_b = 7.5/20, u_d = .5/20. With A = 7/8 - u_b
    # its maximum is at w = (A - u_b) / (2 A).
    rise = 7 / 8 - 7.5 / 20
    weight = (rise - 7.5 / 20) / (2 * rise)
    assert weight == pytest.approx(0.125)
    assert fit_lambda(dataset) == pytest.approx(weight, abs=1e-9)

    # All of train: c(a) = 9 with 8 b, 1 c; c(b) = 7 with 6 a, 1 c; c(c) = 2 with 1 a, 1 d; nothing
    # leaves d. Counts a 9, b 8, c 2, d 1: unigram 9.5, 8.5, 2.5, 1.5 over 22.
    unigram = np.array([9.5, 8.5, 2.5, 1.5]) / 22
    targets = dataset.eval_events("validation")  # b -> a, a -> d, d -> b
    ranks = markov_ranks(dataset, targets, targets)
    expected = [
        weight * 6 / 7 + (1 - weight) * unigram[0],
        (1 - weight) * unigram[3],
        unigram[1],
    ]
    assert ranks.logp is not None
    assert np.allclose(np.exp(ranks.logp), expected)
    assert ranks.higher.tolist() == [0, 3, 1]
    assert ranks.equal.tolist() == [0, 0, 0]
    assert floors_of_validation(dataset)["markov"]["cross_entropy"] == pytest.approx(
        -np.log(expected).mean()
    )


def test_unigram_by_hand(hand) -> None:
    dataset = hand
    values = floors_of_validation(dataset)["unigram"]

    # Targets a, d, b stand at ranks 1, 4, 2.
    assert values["cross_entropy"] == pytest.approx(-np.log(np.array([9.5, 1.5, 8.5]) / 22).mean())
    assert values["recall@1"] == pytest.approx(1 / 3)
    assert values["mrr@5"] == pytest.approx((1 + 1 / 4 + 1 / 2) / 3)


def test_popularity_ties_by_hand(prepared, halves) -> None:
    v = halves["validation"][0]
    # Counts: item 0 twice, 1 and 2 once, 3 and 4 never.
    lines = [(v, 0, 1), (v, 1, 2), (v, 0, 3), (v, 2, 4), (v, 1, 100), (v, 4, 101), (v, 0, 102)]
    dataset = prepared(lines, 5)

    targets = dataset.eval_events("validation")
    ranks = unigram_ranks(dataset, targets, targets)

    assert ranks.higher.tolist() == [1, 3, 0]
    assert ranks.equal.tolist() == [1, 1, 0]


def test_recency_by_hand(prepared, halves) -> None:
    v = halves["validation"][0]
    items = [0, 1, 0, 2, 1, 3, 0, 0]  # the first two are train
    lines = [(v, item, k if k < 2 else 98 + k) for k, item in enumerate(items)]
    dataset = prepared(lines, 6)

    targets = dataset.eval_events("validation")
    ranks = recency_ranks(dataset, targets, targets)

    # Before each target, the latest first: [1 0] 0; [0 1] new; [2 0 1] 1; [1 2 0] new;
    # [3 1 2 0] 0; [0 3 1 2] 0.
    assert ranks.higher.tolist() == [1, 2, 2, 3, 3, 0]
    assert ranks.equal.tolist() == [0, 3, 0, 2, 0, 0]
    assert ranks.logp is None


@pytest.fixture
def random_set(prepared, random_lines) -> Dataset:
    lines = random_lines(n_users=40, n_items=25, most=40)
    return prepared([(u, i % 25 if t >= 90 else i % 20, t) for u, i, t in lines], 30)


def test_markov_against_brute_force(random_set) -> None:
    dataset = random_set
    targets = dataset.eval_events("test")
    weight = fit_lambda(dataset)
    counts = train_pairs(dataset)
    totals = counts.sum(1, keepdims=True)
    share = np.where(totals > 0, weight, 0)
    table = share * counts / np.maximum(totals, 1) + (1 - share) * dataset.unigram
    assert np.allclose(table.sum(1), 1)
    before, after = dataset.items[targets - 1], dataset.items[targets]

    ranks = markov_ranks(dataset, targets, targets)

    higher, equal = counted(table[before], after)
    assert (totals == 0).any()  # some items are never left
    assert np.array_equal(ranks.higher, higher)
    assert np.array_equal(ranks.equal, equal)
    assert ranks.logp is not None
    assert np.allclose(ranks.logp, np.log(table[before, after]))


def test_lambda_is_the_holdout_optimum(prepared) -> None:
    rng = np.random.default_rng(3)
    lines = []
    for user in range(60):  # an item is followed by its neighbour half of the time
        item = int(rng.integers(15))
        for step in range(20):
            lines.append((user, item, 4 * step))
            item = (item + 1) % 15 if rng.random() < 0.5 else int(rng.integers(15))
    dataset = prepared([*lines, (0, 0, 100)], 15)
    cut = np.sort(dataset.times[dataset.split == 0])[int(0.9 * dataset.meta.n_train)]
    early = train_pairs(dataset, before=cut)
    late = train_pairs(dataset) - early
    kept = (dataset.split == 0) & (dataset.times < cut)
    smooth = np.bincount(dataset.items[kept], minlength=15) + 0.5
    rows = early / early.sum(1, keepdims=True)

    def loss(weight: float) -> float:
        return -(late * np.log(weight * rows + (1 - weight) * smooth / smooth.sum())).sum()

    found = minimize_scalar(loss, bounds=(0, 0.999), method="bounded", options={"xatol": 1e-9})
    assert 0.2 < found.x < 0.95
    assert fit_lambda(dataset) == pytest.approx(found.x, abs=1e-6)


def test_lambda_is_zero_without_a_holdout(prepared, halves) -> None:
    v = halves["validation"][0]
    dataset = prepared([(v, 0, 1), (9, 1, 2), (8, 1, 3), (v, 1, 100)], 3)

    assert fit_lambda(dataset) == 0.0
    targets = dataset.eval_events("validation")
    ranks = markov_ranks(dataset, targets, targets)
    assert ranks.logp is not None
    assert np.exp(ranks.logp) == pytest.approx([2.5 / 4.5])


def test_recency_against_brute_force(random_set) -> None:
    targets = random_set.eval_events("validation")
    users = np.searchsorted(random_set.offsets, targets, side="right") - 1
    scores = np.full((len(targets), random_set.n_items), -1.0)
    for row, (event, user) in enumerate(zip(targets, users, strict=True)):
        for earlier in range(random_set.offsets[user], event):
            scores[row, random_set.items[earlier]] = earlier

    ranks = recency_ranks(random_set, targets, targets)

    higher, equal = counted(scores, random_set.items[targets])
    assert np.array_equal(ranks.higher, higher)
    assert np.array_equal(ranks.equal, equal)


def test_similarity_by_hand(prepared) -> None:
    # Users who met each item in train: 0: {0, 1, 2}, 1: {0, 1}, 2: {2}, 3: nobody (late only).
    lines = [(0, 0, 1), (0, 1, 2), (0, 0, 3), (1, 1, 1), (1, 0, 2), (2, 0, 1), (2, 2, 2)]
    dataset = prepared([*lines, (0, 3, 100)], 4)

    table = similarities(dataset).toarray()

    assert table[0, 1] == table[1, 0] == pytest.approx(2 / (math.sqrt(3 * 2) + 10))
    assert table[0, 2] == pytest.approx(1 / (math.sqrt(3 * 1) + 10))
    assert table[1, 2] == 0
    assert not table.diagonal().any()
    assert not table[3].any()


@pytest.mark.parametrize(("neighbours", "history", "block"), [(100, 50, 10**6), (4, 3, 40)])
def test_item_knn_against_brute_force(
    random_set, monkeypatch, neighbours: int, history: int, block: int
) -> None:
    monkeypatch.setattr(item_knn, "NEIGHBOURS", neighbours)
    monkeypatch.setattr(item_knn, "HISTORY", history)
    monkeypatch.setattr(item_knn, "_BLOCK", block)  # small blocks must not change anything
    users = np.repeat(np.arange(random_set.n_users), np.diff(random_set.offsets))
    met = np.zeros((random_set.n_users, random_set.n_items))
    trained = random_set.split == 0
    met[users[trained], random_set.items[trained]] = 1
    n = met.sum(0)
    similar = (met.T @ met) / (np.sqrt(np.outer(n, n)) + 10)
    np.fill_diagonal(similar, 0)
    for row in similar:
        row[np.argsort(-row, kind="stable")[neighbours:]] = 0
    targets = random_set.eval_events("test")
    scores = np.zeros((len(targets), random_set.n_items))
    for place, event in enumerate(targets):
        start = max(random_set.offsets[users[event]], event - history)
        for item in set(random_set.items[start:event].tolist()):
            scores[place] += similar[item]

    ranks = item_knn_ranks(random_set, targets, targets)

    higher, equal = counted(scores, random_set.items[targets])
    assert np.array_equal(ranks.higher, higher)
    assert np.array_equal(ranks.equal, equal)


def test_floors_have_every_metric(random_set) -> None:
    values = floors_of_validation(random_set)

    metrics = {f"{kind}@{k}" for kind in ("recall", "ndcg", "mrr") for k in (1, 5, 10, 20, 50)}
    assert set(values) == {"unigram", "recency", "markov", "item_knn"}
    for floor, found in values.items():
        rest = {"cross_entropy", "accuracy", "n_positions", "n_users", "train_share"}
        assert set(found) == metrics | rest
        assert found["train_share"] == 1
        assert (found["cross_entropy"] is None) == (floor in ("recency", "item_knn"))


def test_a_split_without_targets_is_refused(prepared, halves) -> None:
    v = halves["validation"][0]
    dataset = prepared([(v, 0, 1), (v, 1, 2), (v, 2, 100)], 3)

    with pytest.raises(DataError, match="no test event has a predecessor"):
        floors(dataset)
