"""Steps cut into parts: the cases, and the gradient of one share; also one process of a group.

    python parts_cases.py RANK SIZE FOLDER

computes the shares of process RANK with the candidates spread over SIZE processes, sums gradients
over them and, as rank 0, writes loss, gradients and counts of every case to FOLDER/found.pt.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, distributed

from behavior_scaling.model.objective import Objective
from behavior_scaling.model.parts import Share
from behavior_scaling.model.shards import Shards
from behavior_scaling.model.step import BatchTensors, step_loss
from behavior_scaling.model.two_part import TwoPart
from behavior_scaling.records.spec import ContextualizerSpec, EmbedderSpec, ObjectiveSpec

V, T = 30, 4
SEED, STEP = 11, 5


@dataclass(frozen=True)
class Case:
    """One step: its objective, its stage, its rows, and how its batch is cut."""

    objective: ObjectiveSpec
    stage: int = 1
    accumulate: int = 1
    losses: str = "all"  # or "first row": the last, cut step of a run
    rows: int = 5


CASES = {
    "corrected, past": Case(ObjectiveSpec("corrected", 9, 7, "past")),
    "corrected, past, in parts": Case(ObjectiveSpec("corrected", 9, 7, "past"), accumulate=2),
    "corrected, mask": Case(ObjectiveSpec("corrected", 9, 7, "mask"), accumulate=3),
    "as paper, keep": Case(ObjectiveSpec("as_paper", 9, 7, "keep")),
    "as paper, mask": Case(ObjectiveSpec("as_paper", 9, 0, "mask"), accumulate=2),
    "full": Case(ObjectiveSpec("full", 9, 0, "mask"), accumulate=2),
    "K = V": Case(ObjectiveSpec("corrected", 0, V, "past")),
    "stage 2, past": Case(ObjectiveSpec("corrected", 9, 7, "past"), 2, 2),
    "stage 2, as paper": Case(ObjectiveSpec("as_paper", 9, 7, "keep"), 2),
    "stage 2, full": Case(ObjectiveSpec("full", 9, 0, "mask"), 2),
    "a process without a loss": Case(
        ObjectiveSpec("corrected", 9, 7, "past"), losses="first row", accumulate=2
    ),
    "fewer rows than parts": Case(ObjectiveSpec("corrected", 9, 7, "past"), accumulate=2, rows=3),
    "one row": Case(ObjectiveSpec("corrected", 9, 7, "mask"), rows=1),
}


@dataclass(frozen=True)
class Found:
    """Of a step, or of a process' share of it."""

    loss: float
    gradient: Tensor  # [N]
    embedded: int
    drawn: int


def batch_of(case: Case) -> BatchTensors:
    """Packed documents, repeated items, padding."""
    generator = torch.Generator().manual_seed(2)
    document = torch.tensor(
        [
            [0, 0, 0, 0, 0, 1, 1, 1],
            [2, 2, 2, 2, 2, 2, -1, -1],
            [3, 3, 4, 4, 4, 4, 5, -1],
            [6, 6, 6, 6, 6, 6, 6, 6],
            [7, 7, 7, -1, -1, -1, -1, -1],
        ]
    )[: case.rows]
    inputs, targets = torch.randint(0, 12, (2, *document.shape), generator=generator)
    valid = document >= 0
    if case.losses == "first row":
        valid[1:] = False
        valid[0, 6:] = False
    return BatchTensors(inputs, targets, document.int(), valid)


def model_of(case: Case) -> TwoPart:
    """In float64, so that what remains between two ways of adding up is rounding alone."""
    generator = torch.Generator().manual_seed(3)
    codes = torch.randint(0, 256, (V, T), generator=generator)
    weights = torch.randint(0, 3, (V, T), generator=generator).float()
    weights[:, 0] += 1
    shape = ContextualizerSpec("transformer", 8, 2, 2)
    model = TwoPart(EmbedderSpec("transformer", 6, 1), shape, codes, weights, 256, 0).double()
    model.embedder.requires_grad_(case.stage == 1)
    return model


def objective_of(case: Case) -> Objective:
    """Over a slanted unigram distribution."""
    weight = torch.linspace(1, 4, V, dtype=torch.float64)
    return Objective(case.objective, weight / weight.sum())


def of_share(case: Case, share: Share) -> Found:
    """Loss and gradient of one process' parts, each weighted by its share of the positions."""
    model, objective, batch = model_of(case), objective_of(case), batch_of(case)
    frozen = model.item_vectors(torch.arange(V)).detach() if case.stage == 2 else None
    trained = [p for p in model.parameters() if p.requires_grad]
    gradient = torch.zeros(sum(p.numel() for p in trained), dtype=torch.float64)
    loss, embedded, drawn = 0.0, 0, 0
    for part in share.parts(batch, objective, SEED, STEP):
        result = step_loss(model, objective, part, frozen, SEED, STEP)
        weight = result.n_positions / int(batch.valid.sum())
        grads = torch.autograd.grad(result.loss * weight, trained)
        gradient += torch.cat([grad.reshape(-1) for grad in grads])
        loss += weight * float(result.loss.detach())
        embedded, drawn = embedded + result.n_items_embedded, result.n_drawn
    return Found(loss, gradient, embedded, drawn)


def main() -> None:
    """Join the group, compute, add up, write."""
    rank, size, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder / 'store'}", rank=rank, world_size=size
    )
    found = {}
    for name, case in CASES.items():
        mine = of_share(case, Share(rank, size, case.accumulate, Shards()))
        distributed.all_reduce(mine.gradient)
        embedded = torch.tensor(mine.embedded)
        distributed.all_reduce(embedded)
        found[name] = vars(replace(mine, embedded=int(embedded)))
    if rank == 0:
        torch.save(found, folder / "found.pt")
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
