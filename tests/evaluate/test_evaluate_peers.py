"""Metrics of counts against libraries that sort: ir-measures (pytrec_eval) and torchmetrics.

Scores are distinct, for those libraries break ties by order; ties have tests of their own.
"""

from __future__ import annotations

import ir_measures
import numpy as np
import pytest
import torch
from ir_measures import RR, R, Success, nDCG
from torchmetrics.functional.retrieval import (
    retrieval_hit_rate,
    retrieval_normalized_dcg,
    retrieval_reciprocal_rank,
)

from behavior_scaling.data.baskets import basket_metrics
from behavior_scaling.evaluate.metrics import rank_metrics

CUTOFFS = (1, 5, 10, 20, 50)
N_POSITIONS, N_ITEMS = 60, 120


@pytest.fixture(scope="module")
def scores() -> np.ndarray:
    """[P, V] distinct in every row; the target is item 7 of each, often near the top."""
    rng = np.random.default_rng(0)
    scores = np.stack([rng.permutation(N_ITEMS) for _ in range(N_POSITIONS)]).astype(np.float64)
    scores[:, 7] = N_ITEMS + 0.5 - N_ITEMS ** rng.random(N_POSITIONS)
    return scores


@pytest.fixture(scope="module")
def ours(scores: np.ndarray) -> dict[str, np.ndarray]:
    higher = (scores > scores[:, 7:8]).sum(1)
    return rank_metrics(higher, np.zeros_like(higher))


def run_of(scores: np.ndarray) -> dict[str, dict[str, float]]:
    return {
        str(number): {str(item): float(score) for item, score in enumerate(row)}
        for number, row in enumerate(scores)
    }


@pytest.mark.parametrize(("kind", "measure"), [("ndcg", nDCG), ("recall", R), ("mrr", RR)])
@pytest.mark.parametrize("k", CUTOFFS)
def test_every_metric_is_that_of_trec_eval(scores, ours, kind, measure, k):
    relevant = {str(number): {"7": 1} for number in range(N_POSITIONS)}
    found = np.zeros(N_POSITIONS)
    for metric in ir_measures.iter_calc([measure @ k], relevant, run_of(scores)):
        found[int(metric.query_id)] = metric.value
    assert 0 < found.mean() <= 1
    np.testing.assert_allclose(ours[f"{kind}@{k}"], found, rtol=1e-12)


def test_accuracy_is_success_at_one(scores, ours):
    relevant = {str(number): {"7": 1} for number in range(N_POSITIONS)}
    found = ir_measures.calc_aggregate([Success @ 1], relevant, run_of(scores))[Success @ 1]
    assert ours["accuracy"].mean() == pytest.approx(found)


@pytest.mark.parametrize(
    ("kind", "peer"),
    [
        ("ndcg", retrieval_normalized_dcg),
        ("recall", retrieval_hit_rate),
        ("mrr", retrieval_reciprocal_rank),
    ],
)
@pytest.mark.parametrize("k", CUTOFFS)
def test_every_metric_is_that_of_torchmetrics(scores, ours, kind, peer, k):
    relevant = torch.zeros(N_ITEMS, dtype=torch.int64)
    relevant[7] = 1
    found = [float(peer(torch.from_numpy(row), relevant, top_k=k)) for row in scores]
    np.testing.assert_allclose(ours[f"{kind}@{k}"], found, rtol=1e-5)


def test_baskets_are_queries_of_several_relevant_items(scores):
    """One basket a user: then the mean over users is trec_eval's mean over queries."""
    rng = np.random.default_rng(1)
    baskets = [rng.choice(N_ITEMS, rng.integers(1, 15), replace=False) for _ in scores]
    relevant = {str(q): {str(item): 1 for item in items} for q, items in enumerate(baskets)}
    query = np.repeat(np.arange(len(baskets)), [len(items) for items in baskets])
    items = np.concatenate(baskets)
    higher = (scores[query] > scores[query, items][:, None]).sum(1)
    found = basket_metrics(query, query, higher, np.zeros_like(higher))
    peers = ir_measures.calc_aggregate([nDCG @ 10, R @ 10], relevant, run_of(scores))
    assert found["basket_recall@10"] == pytest.approx(peers[R @ 10], rel=1e-12)
    assert found["basket_ndcg@10"] == pytest.approx(peers[nDCG @ 10], rel=1e-12)
