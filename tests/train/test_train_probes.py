"""Probes: where they lie, that they change nothing, and that what they estimate is unbiased."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from behavior_scaling.data.windows import TrainSampler
from behavior_scaling.model.step import step_loss
from behavior_scaling.records.record import Record
from behavior_scaling.records.spec import EmbedderSpec, ObjectiveSpec
from behavior_scaling.records.store import USERS
from behavior_scaling.train import gradient_noise
from behavior_scaling.train.datamodule import tensors
from behavior_scaling.train.fit import build
from behavior_scaling.train.gradient_noise import BATCHES, FreshGradients, noise_and_signal
from behavior_scaling.train.interrupt import InterruptedRunError
from behavior_scaling.train.probes import Prober, probe_points
from behavior_scaling.train.run import CURVE, EMBEDDER, RANKS

LOSS = "validation/restored/all/cross_entropy"
CPU = torch.device("cpu")


def test_points_are_log_spaced_from_a_twentieth_of_d_to_its_end():
    points = probe_points(80_000, 12)
    assert (points[0], points[-1]) == (pytest.approx(4000), 80_000)
    assert np.diff(np.log(points)) == pytest.approx([math.log(20) / 11] * 11)
    assert probe_points(700, 1) == [700]
    assert probe_points(700, 0) == []


def test_a_probe_stands_at_the_first_step_that_reaches_its_point(train, chain, spec):
    spec = replace(spec, positions=1200)
    record = train(replace(spec, probes=5))
    sizes = [int(b.valid.sum()) for b in TrainSampler(chain, 16, 4, spec.positions, spec.seed)]
    ends = np.cumsum(sizes)
    steps = [1 + int(np.searchsorted(ends, point)) for point in probe_points(spec.positions, 5)]
    assert [probe["step"] for probe in record.probes] == steps
    assert [probe["positions"] for probe in record.probes] == [ends[step - 1] for step in steps]
    assert record.probes[-1]["positions"] == spec.positions


def test_a_step_that_reaches_several_points_is_probed_once(train, spec):
    record = train(replace(spec, positions=130, probes=12))  # three steps
    assert [probe["step"] for probe in record.probes] == [1, 2, 3]


FULL = ObjectiveSpec("full", 0, 0, "mask")
CHANGES = {
    "stage 1": {"embedder": EmbedderSpec("transformer", 6, 1)},
    "bf16": {"precision": "bf16-mixed"},
    "full": {"objective": FULL},
    "fixed": {"embedder": EmbedderSpec("fixed", 8, 0)},
}


@pytest.fixture
def asked(spec, child, train, tmp_path, request):
    """A short run of some kind, and its parent's embedder."""
    if request.param == "stage 2":
        train(replace(spec, positions=300), "parent")
        return replace(child, positions=1000), tmp_path / "parent" / EMBEDDER
    return replace(spec, positions=1000, **CHANGES[request.param]), None


@pytest.mark.parametrize("asked", [*CHANGES, "stage 2"], indirect=True)
def test_training_is_the_same_bit_by_bit_with_and_without_probes(train, tmp_path, asked):
    spec, parent = asked
    with_probes = train(replace(spec, probes=12), "with", parent_embedder=parent)
    without = train(replace(spec, probes=0), "without", parent_embedder=parent)
    assert len(with_probes.probes) > 8
    assert without.probes == []
    assert with_probes.metrics == without.metrics
    assert with_probes.curve == without.curve
    spent = with_probes.counts.pop("flops_probe")
    assert without.counts.pop("flops_probe") == 0 < spent
    assert with_probes.counts == without.counts
    for name in (RANKS, USERS, CURVE, EMBEDDER):
        assert (tmp_path / "with" / name).read_bytes() == (tmp_path / "without" / name).read_bytes()


@pytest.mark.parametrize("before", [0, 1])
def test_a_run_stopped_at_a_probe_and_resumed_has_the_same_probes(train, spec, before):
    spec = replace(spec, positions=1200)
    undisturbed = train(spec, "undisturbed")
    stop = int(undisturbed.probes[1]["step"] or 0) - before
    polls = itertools.count(1)
    with pytest.raises(InterruptedRunError, match=f"after step {stop}"):
        train(spec, stopped=lambda: next(polls) == stop)
    resumed = train(spec)
    assert resumed.probes == undisturbed.probes
    assert resumed.numeric_hash == undisturbed.numeric_hash
    assert resumed.timings["probe_seconds"] > 0


def test_the_last_probe_has_the_loss_of_the_evaluation_where_the_sample_is_all(train, spec):
    for kind in ("corrected", "as_paper"):
        objective = ObjectiveSpec(kind, 8, 2, "mask")
        record = train(replace(spec, positions=600, objective=objective), kind)
        assert record.metrics[LOSS] == pytest.approx(
            record.probes[-1]["validation_cross_entropy"], abs=2e-6
        )


def test_probes_are_part_of_what_makes_two_records_the_same(train, spec):
    record = train(replace(spec, positions=300))
    again = Record.from_json(record.to_json(), where="test")
    assert again == record
    other = [record.probes[0] | {"gradient_noise": None}, *record.probes[1:]]
    assert replace(record, probes=other).numeric_hash != record.numeric_hash


def test_noise_is_the_same_in_pieces(monkeypatch):
    gradients = torch.randn(4, 1000, generator=torch.Generator().manual_seed(0))
    whole = noise_and_signal(gradients, 8)
    monkeypatch.setattr(gradient_noise, "PIECE", 7)
    assert noise_and_signal(gradients, 8) == pytest.approx(whole, rel=1e-12)


@pytest.mark.parametrize(("rows", "batch", "batches"), [(3, 2, 2), (2, 1, 4), (2, 2, 3), (4, 1, 2)])
def test_noise_and_signal_are_unbiased_by_enumeration(rows, batch, batches):
    """A linear model's gradients are its inputs: every draw of every batch, all equally likely."""
    inputs = torch.tensor(np.random.default_rng(rows).normal(0.5, 1.0, (rows, 3)))
    weights = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    estimates = []
    for drawn in itertools.product(range(rows), repeat=batch * batches):
        chosen = torch.tensor(drawn).view(batches, batch)
        losses = [(inputs[one] @ weights).mean() for one in chosen]
        gradients = torch.stack([torch.autograd.grad(loss, weights)[0] for loss in losses])
        estimates.append(noise_and_signal(gradients, batch))
    noise, signal = np.mean(estimates, axis=0)
    mean = inputs.mean(0)
    assert signal == pytest.approx(float(mean @ mean), rel=1e-12)
    assert noise == pytest.approx(float(((inputs - mean) ** 2).sum() / rows), rel=1e-12)
    assert min(estimates, key=lambda one: one[1])[1] < signal  # a single one may be far off


def test_the_noise_of_a_run_is_that_of_its_sequences(chain, spec, monkeypatch):
    """Batches of one sequence of a fixed epoch, all items as candidates: nothing else is drawn."""
    spec = replace(spec, batch=1, objective=FULL)
    run = build(spec, chain, None)
    plan = TrainSampler(chain, 16, 1, spec.positions, seed=3).epoch_plan(0)[np.arange(30)]
    monkeypatch.setattr(TrainSampler, "epoch_plan", lambda self, epoch: plan)
    rows = []
    for batch in itertools.islice(TrainSampler(chain, 16, 1, spec.positions, seed=3), 30):
        loss = step_loss(run.model, run.objective, tensors(batch, CPU), None, 0, 0).loss
        parts = torch.autograd.grad(loss, list(run.model.parameters()))
        rows.append(torch.cat([part.reshape(-1) for part in parts]))
    each = torch.stack(rows).double()
    signal = float(each.mean(0) @ each.mean(0))
    noise = float(((each - each.mean(0)) ** 2).sum() / 30)

    fresh = FreshGradients(spec, chain)
    found = np.array([noise_and_signal(fresh.draw(run, step)[0], 1) for step in range(80)])
    errors = found.std(axis=0, ddof=1) / math.sqrt(80)
    assert errors[0] < 0.1 * noise
    assert abs(found[:, 0].mean() - noise) < 4 * errors[0]
    assert abs(found[:, 1].mean() - signal) < 4 * errors[1]


def test_gradients_are_taken_in_the_precision_of_the_run(chain, spec):
    (full, _), (half, _) = (
        FreshGradients(one, chain).draw(build(one, chain, None), 7)
        for one in (spec, replace(spec, precision="bf16-mixed"))
    )
    assert not torch.equal(full, half)
    assert float((full - half).norm()) < 0.1 * float(full.norm())


def test_gradients_are_fresh_at_every_probe_and_repeat_by_seed(chain, spec):
    run = build(spec, chain, None)
    fresh = FreshGradients(spec, chain)
    first, _ = fresh.draw(run, 7)
    assert len(torch.unique(torch.cat([first, fresh.draw(run, 8)[0]]), dim=0)) == 2 * BATCHES
    assert torch.equal(FreshGradients(spec, chain).draw(run, 7)[0], first)
    other = replace(spec, seed=1)
    assert not torch.equal(FreshGradients(other, chain).draw(run, 7)[0], first)


def test_a_probe_leaves_gradients_generators_and_modes_alone(chain, spec):
    run = build(spec, chain, None)

    def draw_from_torch(*_):  # as an embedder with dropout would
        torch.rand(3)

    run.model.embedder.register_forward_hook(draw_from_torch)
    run.tally.consumed, run.tally.steps = spec.positions, 9
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    for parameter in run.model.parameters():
        parameter.grad = torch.full_like(parameter, 0.5)
    state = torch.get_rng_state()
    Prober(spec, chain)(run)
    assert len(run.tally.probes) == 1
    assert torch.equal(torch.get_rng_state(), state)
    assert all((parameter.grad == 0.5).all() for parameter in run.model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in run.model.state_dict().items())
    assert run.model.training
    Prober(spec, chain)(run)  # the point has been measured
    assert len(run.tally.probes) == 1


def test_what_is_not_finite_is_null_and_no_outcome(chain, spec):
    run = build(spec, chain, None)
    with torch.no_grad():
        next(iter(run.model.contextualizer.parameters())).fill_(math.nan)
    run.tally.consumed, run.tally.steps = spec.positions, 9
    Prober(spec, chain)(run)
    assert run.tally.probes[0] == {
        "step": 9,
        "positions": spec.positions,
        "validation_cross_entropy": None,
        "gradient_noise": None,
        "gradient_signal": None,
    }


@pytest.mark.parametrize("asked", ["stage 1", "full", "fixed", "stage 2"], indirect=True)
def test_flops_of_a_probe_agree_with_torchs_counter(chain, asked):
    spec, parent = asked
    run = build(spec, chain, parent)
    run.tally.consumed, run.tally.steps = spec.positions, 9
    prober = Prober(spec, chain)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        prober(run)
    assert run.tally.probe_flops == pytest.approx(counter.get_total_flops(), rel=0.01)
    assert run.tally.flops == 0
