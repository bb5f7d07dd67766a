"""One run: repeats, D, learning, stage 2, divergence, and what it leaves in its folder."""

from __future__ import annotations

import csv
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from behavior_scaling.data.windows import TrainSampler
from behavior_scaling.evaluate.ranks import metrics_from_ranks, read_ranks
from behavior_scaling.evaluate.users import user_sums
from behavior_scaling.model.objective import Objective
from behavior_scaling.model.step import BatchTensors, StepResult, step_loss
from behavior_scaling.model.two_part import TwoPart
from behavior_scaling.records.columns import USER_SUMS
from behavior_scaling.records.spec import EmbedderSpec, ObjectiveSpec
from behavior_scaling.records.store import USERS
from behavior_scaling.sizes import flops
from behavior_scaling.train import callbacks, module
from behavior_scaling.train.callbacks import progress_line
from behavior_scaling.train.fit import build
from behavior_scaling.train.run import CURVE, EMBEDDER, RANKS, train_run
from behavior_scaling.train.schedule import learning_rate
from behavior_scaling.train.tally import Tally

FULL = ObjectiveSpec("full", 0, 0, "mask")


def test_a_run_repeats_bit_by_bit_and_its_seed_matters(train, spec):
    first, again = train(spec, "first"), train(spec, "again")
    other = train(replace(spec, seed=1), "other")
    assert first.outcome == "done"
    assert again.numeric_hash == first.numeric_hash
    assert other.metrics != first.metrics


@pytest.mark.parametrize("positions", [7, 3000, 3333])
def test_d_is_exact_and_every_count_follows_from_the_sampler(train, chain, spec, positions):
    spec = replace(spec, positions=positions)
    record = train(spec)
    sizes = [int(b.valid.sum()) for b in TrainSampler(chain, 16, 4, positions, seed=0)]
    middles = np.cumsum(sizes) - np.array(sizes) / 2
    counts = record.counts
    assert counts["positions"] == sum(sizes) == positions
    assert record.curve[-1]["positions"] == positions
    assert counts["steps"] == len(sizes)
    assert counts["steps_after_warmup"] == (middles >= 0.1 * positions).sum()
    assert counts["epochs"] == pytest.approx(positions / chain.unique_positions)
    assert counts["n_cand"] == 10
    assert 2 <= counts["n_cand_distinct"] <= 10
    cost = flops.nominal(
        spec.embedder,
        spec.contextualizer,
        spec.objective,
        stage=1,
        batch=4,
        context=16,
        tokens=2,
        n_items=40,
    )
    assert counts["flops_nominal"] == pytest.approx(cost.total * positions)


def test_training_is_that_of_a_plain_loop(train, chain, spec):
    """The same numbers from torch alone: clipping, schedule, decay of the matrices only."""
    spec = replace(spec, optimizer=replace(spec.optimizer, weight_decay=0.1, clip=0.3))
    record = train(spec)
    torch.manual_seed(0)
    model = TwoPart(
        spec.embedder,
        spec.contextualizer,
        torch.tensor(chain.codes),
        torch.tensor(chain.weights),
        chain.meta.spec.codebook,
        spec.seed,
    )
    objective = Objective(spec.objective, torch.tensor(chain.unigram))
    matrices = [p for p in model.parameters() if p.ndim == 2]
    scalars = [p for p in model.parameters() if p.ndim != 2]
    optimizer = torch.optim.AdamW(
        [{"params": matrices}, {"params": scalars, "weight_decay": 0.0}],
        betas=(0.9, 0.99),
        weight_decay=0.1,
    )
    losses, candidates, executed = [], 0, 0.0
    for batch in TrainSampler(chain, 16, 4, spec.positions, spec.seed):
        arrays = (batch.inputs, batch.targets, batch.document, batch.valid)
        tensors = BatchTensors(*map(torch.from_numpy, arrays))
        result = step_loss(model, objective, tensors, None, spec.seed, batch.step)
        middle = batch.consumed + batch.valid.sum() / 2
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(spec.optimizer, middle, spec.positions)
        optimizer.zero_grad()
        result.loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 0.3)
        optimizer.step()
        losses.append(float(result.loss.detach()))
        candidates += result.n_candidates
        executed += flops.executed(
            spec.contextualizer,
            embedder=result.n_items_embedded * flops.item_flops(spec.embedder, 8, 1),
            frozen=False,
            grid=64,
            context=16,
            positions=int(batch.valid.sum()),
            candidates=result.n_candidates,
            past=False,
        ).total
    assert norm > 0.3  # clipping did something
    assert record.counts["steps"] == len(losses)
    assert record.counts["n_cand_distinct"] == pytest.approx(candidates / len(losses))
    assert record.counts["flops_executed"] == pytest.approx(executed)
    # 48 steps are fewer than 50 points: each point of the curve is one step's loss.
    assert [p["train_loss"] for p in record.curve] == pytest.approx(losses, rel=1e-4)


def test_a_planted_chain_is_learnt_below_the_unigram_floor(train, chain, spec):
    record = train(replace(spec, objective=FULL, positions=20_000))
    floor = chain.meta.unigram_entropy
    assert floor == pytest.approx(math.log(40), abs=0.05)
    for split in ("validation", "test"):
        assert record.metrics[f"{split}/restored/all/cross_entropy"] < 0.25 * floor
        assert record.metrics[f"{split}/restored/all/accuracy"] > 0.9
    assert record.metrics["train_loss"] < 0.25 * floor


def test_the_record_says_what_the_files_beside_it_say(train, spec, tmp_path):
    spec = replace(spec, objective=ObjectiveSpec("as_paper", 8, 2, "mask"))
    record = train(spec)
    table = read_ranks(tmp_path / "run" / RANKS)
    again = metrics_from_ranks(table)
    rest = set(record.metrics) - set(again)
    assert {name: record.metrics[name] for name in again} == again
    assert rest == {"train_loss"} | {
        f"{split}/{score}/all/coverage@10"
        for split in ("validation", "test")
        for score in ("raw", "restored")
    }
    frame = pd.DataFrame(table.columns())
    part = frame[(frame.split == 1) & ~frame.basket]
    assert -part.logp_restored.mean() == pytest.approx(
        record.metrics["validation/restored/all/cross_entropy"], rel=1e-6
    )
    assert (part.logp_raw != part.logp_restored).any()
    users = pd.read_parquet(tmp_path / "run" / USERS)
    pd.testing.assert_frame_equal(users, user_sums(table))
    for (split, name, score), sums in users.groupby(["split", "slice", "score"]):
        for metric in USER_SUMS:
            total = sums[metric].sum() / sums["n_positions"].sum()
            stated = record.metrics[f"{split}/{score}/{name}/{metric}"]
            assert total == pytest.approx(stated, rel=1e-12)
    with (tmp_path / "run" / CURVE).open() as file:
        rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
    assert rows == record.curve


def test_stage_2_leaves_the_parents_embedder_as_it_is(train, spec, child, tmp_path):
    parent = train(spec, "parent")
    record = train(child, "child", parent_embedder=tmp_path / "parent" / EMBEDDER)
    before = load_file(tmp_path / "parent" / EMBEDDER)
    after = load_file(tmp_path / "child" / EMBEDDER)
    assert before.keys() == after.keys() != set()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert record.outcome == "done"
    assert record.counts["items_embedded"] == 0
    assert record.counts["n_trainable"] == record.counts["n_ctx"]
    assert record.counts["n_emb"] == parent.counts["n_emb"]
    assert record.curve[-1]["train_loss"] < record.curve[0]["train_loss"]


def test_an_embedder_of_another_shape_is_refused(train, spec, child, tmp_path):
    train(spec, "parent")
    wide = replace(child, embedder=EmbedderSpec("mlp", 12, 1))
    with pytest.raises(ValueError, match=r"embedder.safetensors: not an embedder for this run"):
        train(wide, "child", parent_embedder=tmp_path / "parent" / EMBEDDER)


def test_a_fixed_embedder_has_nothing_to_train_and_an_empty_file(train, spec, tmp_path):
    record = train(replace(spec, embedder=EmbedderSpec("fixed", 8, 0)))
    assert record.outcome == "done"
    assert record.counts["n_emb"] == record.counts["share"] == 0
    assert record.counts["n_trainable"] == record.counts["n_ctx"]
    assert load_file(tmp_path / "run" / EMBEDDER) == {}


def test_bf16_comes_close_to_fp32(train, spec):
    spec = replace(spec, objective=FULL)
    losses = [
        train(replace(spec, precision=precision), precision).metrics["train_loss"]
        for precision in ("fp32", "bf16-mixed")
    ]
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.05)


def test_a_loss_that_is_not_finite_is_an_outcome(train, spec, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / RANKS).write_text("left by an earlier attempt")
    (folder / ".ranks.parquet.x1.parquet").write_text("half a file")

    def poisoned(*args) -> StepResult:
        result = step_loss(*args)
        return replace(result, loss=result.loss * math.nan) if args[-1] == 20 else result

    monkeypatch.setattr(module, "step_loss", poisoned)
    record = train(spec)
    assert (record.outcome, record.error) == ("diverged", "the loss is nan at step 20")
    assert record.counts["steps"] == 20
    assert record.counts["positions"] == record.curve[-1]["positions"] < spec.positions
    assert record.metrics == {}
    assert [file.name for file in folder.iterdir()] == [CURVE]


def test_scores_that_are_not_finite_are_an_outcome(train, spec, monkeypatch, tmp_path):
    monkeypatch.setattr(Objective, "restored", lambda self, scores: scores * math.inf)
    record = train(spec)
    assert record.outcome == "diverged"
    assert record.error == "validation: the restored scores are not all finite"
    assert record.counts["positions"] == spec.positions
    assert [file.name for file in (tmp_path / "run").iterdir()] == [CURVE]


def test_the_checkpoint_carries_torchs_generator(chain, spec):
    run, checkpoint = build(spec, chain, None), {}
    run.on_save_checkpoint(checkpoint)
    first = torch.rand(3)
    run.on_load_checkpoint(checkpoint)
    assert torch.equal(torch.rand(3), first)


def test_progress_says_step_share_loss_rate_and_time_left():
    tally = Tally(positions=1000, seconds=2.0, flops=3e9)
    for loss in (4.0, 2.0):  # each step reaches a point of the curve
        tally.add(loss, 0.1, 100)
    line = "step 2, 20.0% of D, loss 2.0000, 100 events/s, 1.5 GFLOP/s, 8 s left"
    assert progress_line(tally) == line
    tally.add(1.5, 0.1, 10)  # this one does not
    assert "loss 1.5000" in progress_line(tally)


def test_progress_is_logged_when_it_is_due(train, spec, monkeypatch):
    lines: list[str] = []
    train(spec, log=lines.append)
    assert lines == []
    monkeypatch.setattr(callbacks, "PROGRESS_SECONDS", 0.0)
    record = train(spec, log=lines.append)
    assert len(lines) == record.counts["steps"] - 1


def test_other_data_than_the_specs_are_refused_by_the_field_that_differs(train, spec):
    other = replace(spec, data=replace(spec.data, context=32))
    with pytest.raises(ValueError, match=r"prepared with context 16, .* needs 32"):
        train(other)


def test_data_that_leave_nothing_to_evaluate_are_refused_before_training(chain, spec, tmp_path):
    meta = replace(chain.meta, eval_positions={"validation": 9, "test": 0})
    with pytest.raises(ValueError, match="no test event has a predecessor"):
        train_run(spec, replace(chain, meta=meta), tmp_path, None, 1e9, print)


def test_a_stage_2_run_without_an_embedder_is_refused(train, child):
    with pytest.raises(ValueError, match="is of stage 2"):
        train(child)
