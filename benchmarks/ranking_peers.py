"""Ranking metrics by other libraries: each in its best use, from the best 50 of every position."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from timing import processor_seconds
from torch import Tensor

CUTOFFS = (1, 5, 10, 20, 50)
Metrics = dict[str, float]
Stages = dict[str, float]  # seconds


def best(scores: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The best 50 of every position: scores, items, and whether each is the target."""
    values, items = scores.topk(max(CUTOFFS), 1)
    return values, items, items == targets[:, None]


def with_ranx(dictionaries: bool, scores: Tensor, targets: Tensor) -> tuple[Stages, Metrics]:
    """ranx: the best 50, their arrays or its Run, metrics."""
    from ranx import Qrels, Run
    from ranx import evaluate as ranx_evaluate

    names = [f"{kind}@{k}" for kind in ("recall", "ndcg", "mrr") for k in CUTOFFS]

    def arrays() -> tuple[Any, Any]:
        values, items, _ = best(scores, targets)
        run = torch.stack([items.double(), values.double()], 2).numpy()
        relevant = torch.stack([targets.double(), torch.ones(len(targets)).double()], 1)
        return relevant[:, None].numpy(), run

    def objects() -> tuple[Any, Any]:
        values, items, _ = best(scores, targets)
        keys = [f"q{number}" for number in range(len(targets))]
        run = {
            key: dict(zip(map(str, ids), row, strict=True))
            for key, ids, row in zip(keys, items.tolist(), values.tolist(), strict=True)
        }
        relevant = {key: {str(one): 1} for key, one in zip(keys, targets.tolist(), strict=True)}
        return Qrels(relevant), Run(run)

    prepare = objects if dictionaries else arrays
    prepared = prepare()
    found = ranx_evaluate(*prepared, names)  # compiles what the timed calls run
    stages = {
        "prepare": processor_seconds(prepare, 3),
        "metrics": processor_seconds(lambda: ranx_evaluate(*prepared, names), 3),
    }
    return stages, dict(found)


def with_torchmetrics(scores: Tensor, targets: Tensor) -> tuple[Stages, Metrics]:
    """torchmetrics' retrieval classes with indexes, on the best 50 of every position."""
    from torchmetrics import retrieval

    kinds = {
        "recall": retrieval.RetrievalHitRate,
        "ndcg": retrieval.RetrievalNormalizedDCG,
        "mrr": retrieval.RetrievalMRR,
    }
    values, _, hit = best(scores, targets)
    index = torch.arange(len(targets))[:, None].expand(values.shape)

    def measured() -> Metrics:
        found = {}
        for kind, metric in kinds.items():
            for k in CUTOFFS:
                one = metric(empty_target_action="neg", top_k=k)
                one.update(values.flatten(), hit.flatten(), index.flatten())
                found[f"{kind}@{k}"] = float(one.compute())
        return found

    prepare = processor_seconds(lambda: best(scores, targets), 3)
    return {"prepare": prepare, "metrics": processor_seconds(measured, 1)}, measured()


PEERS: dict[str, Callable[[Tensor, Tensor], tuple[Stages, Metrics]]] = {
    "ranx, arrays": partial(with_ranx, False),
    "ranx, Run": partial(with_ranx, True),
    "torchmetrics": with_torchmetrics,
}
