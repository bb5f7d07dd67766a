"""One process of a group that shares the candidates of a loss; run by test_model_shards.py.

    python shards_worker.py RANK SIZE FOLDER

Reads FOLDER/case.pt, writes its losses and gradients to FOLDER/RANK.pt; with a SIZE of 0 those of a
loss that knows of no other process, to FOLDER/alone.pt.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor, distributed

from behavior_scaling.model import logit_tiles
from behavior_scaling.model.candidates import Candidates
from behavior_scaling.model.objective import Objective, Sequences
from behavior_scaling.model.shards import Shards
from behavior_scaling.records.spec import ObjectiveSpec

SPECS = {
    "corrected": ObjectiveSpec("corrected", 12, 9, "mask"),
    "as_paper": ObjectiveSpec("as_paper", 12, 9, "keep"),
    "full": ObjectiveSpec("full", 1, 0, "mask"),
}


def loss_and_gradients(
    name: str, case: dict[str, Tensor], shards: Shards | None, frozen: bool
) -> dict[str, Tensor]:
    """The loss of one objective over the whole case, or over this process' part of it."""
    spec = SPECS[name]
    n_items = case["vectors"].shape[0]
    items = torch.arange(n_items) if name == "full" else case["candidates"]
    targets, document, queries = case["targets"], case["document"], case["queries"]
    if shards is not None:
        mine = shards.own(len(targets))
        items = items[shards.own(len(items))]
        targets, document, queries = targets[mine], document[mine], queries[mine]
    queries = queries.clone().requires_grad_()
    own = case["vectors"][targets].requires_grad_()
    vectors = case["vectors"][items].requires_grad_(not frozen)
    gathered = [queries, own, targets, document]
    if shards is not None:
        gathered = [shards.gather(x) for x in gathered]
    loss = Objective(spec, case["unigram"]).loss(
        gathered[0],
        gathered[2],
        gathered[1],
        Candidates(items, everything=name == "full"),
        vectors,
        Sequences(gathered[3], gathered[3], gathered[2], int(gathered[3].max()) + 1),
        shards=shards,
    )
    leaves = {"queries": queries, "own": own} | ({} if frozen else {"vectors": vectors})
    found = torch.autograd.grad(loss, list(leaves.values()))
    return {"loss": loss.detach(), **dict(zip(leaves, found, strict=True))}


def all_cases(case: dict[str, Tensor], shards: Shards | None) -> dict[str, dict[str, Tensor]]:
    """Every objective, trained and frozen, whole tiles and small ones."""
    found = {}
    for name in SPECS:
        for frozen in (False, True):
            for size in (1 << 20, 4 * 5 * 8):
                logit_tiles.TILE_BYTES["cpu"] = size
                key = f"{name}, {'frozen' if frozen else 'trained'}, tiles of {size} bytes"
                found[key] = loss_and_gradients(name, case, shards, frozen)
    return found


def main() -> None:
    """Join the group, compute, write."""
    rank, size, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    torch.set_num_threads(1)
    case = torch.load(folder / "case.pt", weights_only=True)
    if size == 0:
        torch.save(all_cases(case, None), folder / "alone.pt")
        return
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder / 'store'}", rank=rank, world_size=size
    )
    torch.save(all_cases(case, Shards()), folder / f"{rank}.pt")
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
