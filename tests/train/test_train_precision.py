"""A run in bf16-mixed against the same run in fp32."""

from __future__ import annotations

from dataclasses import replace

import pytest

LOSS = "validation/restored/all/cross_entropy"


@pytest.mark.parametrize("objective", ["corrected", "full"])
def test_bf16_and_fp32_runs_agree(train, spec, objective):
    """Products with 8 bits of mantissa: losses to .01 nats, hit rates to .02, the same work.

    The task is learnt (the loss falls from 3.7 nats to a tenth), so that a wrong cast or a lost
    gradient shows at once.
    """
    spec = replace(
        spec, positions=8_000, objective=replace(spec.objective, kind=objective, in_batch=32)
    )
    single = train(spec, "fp32")
    half = train(replace(spec, precision="bf16-mixed"), "bf16")
    assert single.metrics["train_loss"] < 0.6 * single.curve[0]["train_loss"]
    for name in ("train_loss", LOSS):
        assert half.metrics[name] == pytest.approx(single.metrics[name], abs=0.01), name
        assert half.metrics[name] != single.metrics[name], name
    accuracy = "validation/restored/all/accuracy"
    assert half.metrics[accuracy] == pytest.approx(single.metrics[accuracy], abs=0.02)
    assert half.counts["flops_executed"] == pytest.approx(single.counts["flops_executed"])
