"""Metrics of ranks against hand-worked values and against averages over every tie order."""

import itertools
import math

import numpy as np
import pytest

from behavior_scaling.data.baskets import basket_metrics
from behavior_scaling.data.rank_gains import expected
from behavior_scaling.evaluate.metrics import rank_metrics

GAINS = {
    "recall": lambda rank: 1.0,
    "ndcg": lambda rank: 1 / math.log2(1 + rank),
    "mrr": lambda rank: 1 / rank,
}


def at(kind, k, higher, equal):
    return expected(kind, k, np.array([higher]), np.array([equal]))[0]


@pytest.mark.parametrize(
    ("kind", "k", "higher", "equal", "value"),
    [
        ("recall", 1, 0, 0, 1.0),
        ("recall", 1, 1, 0, 0.0),
        ("recall", 10, 9, 0, 1.0),
        ("recall", 10, 10, 0, 0.0),
        ("recall", 10, 8, 3, 0.5),  # ranks 9, 10, 11, 12: two of four are inside
        ("ndcg", 10, 0, 0, 1.0),
        ("ndcg", 10, 2, 0, 0.5),  # rank 3: 1 / log2(4)
        ("ndcg", 10, 6, 0, 1 / 3),  # rank 7: 1 / log2(8)
        ("ndcg", 5, 0, 2, (1 + 1 / math.log2(3) + 0.5) / 3),  # ranks 1, 2, 3
        ("mrr", 10, 3, 0, 0.25),
        ("mrr", 10, 0, 1, 0.75),  # ranks 1, 2
        ("mrr", 1, 0, 1, 0.5),
        ("mrr", 5, 5, 4, 0.0),
    ],
)
def test_hand_worked_values(kind, k, higher, equal, value):
    assert at(kind, k, higher, equal) == pytest.approx(value, abs=1e-15)


@pytest.mark.parametrize("kind", sorted(GAINS))
@pytest.mark.parametrize(("higher", "ties", "k"), [(0, 5, 3), (2, 4, 4), (1, 3, 10), (4, 4, 2)])
def test_the_expectation_is_the_mean_over_every_tie_order(kind, higher, ties, k):
    # The target is item 0 of `ties` tied items; every order of them is equally likely.
    gains = []
    for order in itertools.permutations(range(ties)):
        rank = higher + 1 + order.index(0)
        gains.append(GAINS[kind](rank) if rank <= k else 0.0)
    assert at(kind, k, higher, ties - 1) == pytest.approx(np.mean(gains), abs=1e-14)


def test_accuracy_is_recall_at_one_and_every_name_is_there():
    values = rank_metrics(np.array([0, 0, 4]), np.array([0, 3, 0]))
    assert values["accuracy"].tolist() == [1.0, 0.25, 0.0]
    names = {f"{kind}@{k}" for kind in GAINS for k in (1, 5, 10, 20, 50)} | {"accuracy"}
    assert set(values) == names


def test_baskets_by_hand_average_over_a_users_baskets_then_over_users():
    # User 7, basket 1: two items at ranks 1 and 11; basket 2: one item at rank 2.
    # User 9, basket 3: one item at rank 20.
    found = basket_metrics(
        basket=np.array([1, 1, 2, 3]),
        user=np.array([7, 7, 7, 9]),
        higher=np.array([0, 10, 1, 19]),
        equal=np.zeros(4, dtype=int),
    )
    assert found["basket_recall@10"] == pytest.approx(((0.5 + 1) / 2 + 0) / 2)
    ideal = 1 + 1 / math.log2(3)
    assert found["basket_ndcg@10"] == pytest.approx(((1 / ideal + 1 / math.log2(3)) / 2 + 0) / 2)


def test_basket_expectations_are_means_over_random_tie_orders():
    # Monte Carlo on raw scores with many ties: a basket of three items out of eight.
    rng = np.random.default_rng(0)
    scores = np.array([3, 2, 2, 2, 2, 1, 1, 0])
    basket, k = np.array([1, 2, 6]), 3
    recall, ndcg = [], []
    ideal = sum(1 / math.log2(1 + rank) for rank in (1, 2, 3))
    for _ in range(20_000):
        order = np.lexsort((rng.random(8), -scores))
        ranks = np.flatnonzero(np.isin(order, basket)) + 1
        inside = ranks[ranks <= k]
        recall.append(len(inside) / 3)
        ndcg.append(np.sum(1 / np.log2(1 + inside)) / ideal)
    higher = np.array([(scores > scores[item]).sum() for item in basket])
    equal = np.array([(scores == scores[item]).sum() - 1 for item in basket])
    found = basket_metrics(np.zeros(3, int), np.zeros(3, int), higher, equal, k)
    assert found["basket_recall@3"] == pytest.approx(np.mean(recall), abs=0.01)
    assert found["basket_ndcg@3"] == pytest.approx(np.mean(ndcg), abs=0.01)


def test_a_basket_larger_than_the_list_has_its_ideal_cut_at_the_list():
    found = basket_metrics(np.zeros(12, int), np.zeros(12, int), np.arange(12), np.zeros(12, int))
    assert found["basket_ndcg@10"] == pytest.approx(1.0)
    assert found["basket_recall@10"] == pytest.approx(10 / 12)
