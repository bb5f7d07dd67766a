"""A run whose contextualizer sees event features, from spec to record."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from behavior_scaling.data.errors import DataError
from behavior_scaling.model.step import step_loss
from behavior_scaling.records.spec import RunSpec
from behavior_scaling.train.fit import build
from behavior_scaling.train.gradient_noise import BATCHES
from behavior_scaling.train.matmul_rate import first_batch
from behavior_scaling.train.probes import Prober


@pytest.fixture
def seeing(spec: RunSpec) -> RunSpec:
    """The short run of the fixtures, with two event features."""
    shape = replace(spec.contextualizer, event_features=("gap", "calendar"), event_width=4)
    return replace(spec, contextualizer=shape, positions=800)


def test_a_spec_comes_back_from_json(seeing):
    again = RunSpec.from_dict(json.loads(json.dumps(seeing.to_dict())))
    assert again == seeing
    assert again.id == seeing.id


def test_a_run_and_its_child(train, seeing, tmp_path):
    """Both stages train, measure and count the matrix; the parent's embedder serves any child."""
    parent = train(seeing, "parent")
    spec = replace(seeing, stage=2, parent=seeing.id)
    child = train(spec, "child", parent_embedder=tmp_path / "parent" / "embedder.safetensors")
    for record in (parent, child):
        assert record.outcome == "done", record.error
        assert record.counts["n_ctx"] == 12 * 8**2 + 4 * 8 + 1
        assert len(record.probes) == 3
        nominal = record.counts["flops_nominal"] / record.counts["positions"]
        assert nominal > 6 * 12 * 8**2 + 4 * 4 * 8
    assert train(seeing, "again").numeric_hash == parent.numeric_hash
    plain = replace(seeing, contextualizer=replace(seeing.contextualizer, event_features=()))
    plain = replace(plain, contextualizer=replace(plain.contextualizer, event_width=0))
    assert train(plain, "plain").metrics != parent.metrics


def test_flops_of_a_step_and_of_a_probe_agree_with_torchs_counter(chain, seeing):
    run = build(seeing, chain, None)
    batch = first_batch(run, chain)
    assert batch.events is not None
    assert batch.events.shape == (*batch.inputs.shape, 2)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        result = step_loss(run.model, run.objective, batch, None, 0, 0)
        torch.autograd.backward(result.loss)
    assert run.executed_flops(batch, result) == pytest.approx(counter.get_total_flops(), rel=0.01)
    run.tally.consumed, run.tally.steps = seeing.positions, 9
    prober = Prober(seeing, chain)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        prober(run)
    trained = sum(parameter.numel() for parameter in run.model.parameters())
    between_gradients = 2 * BATCHES**2 * trained  # of the estimate itself, not of the model
    found = run.tally.probe_flops + between_gradients
    assert found == pytest.approx(counter.get_total_flops(), rel=0.001)


def test_a_feature_that_the_data_lack_is_refused(train, seeing):
    shape = replace(seeing.contextualizer, event_features=("gap", "amount"))
    with pytest.raises(DataError, match="'amount': these data have gap, calendar"):
        train(replace(seeing, contextualizer=shape))
