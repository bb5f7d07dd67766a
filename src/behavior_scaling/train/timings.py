"""What a run cost: seconds by part, rates, peak memory. Recorded, never compared.

Start-up is stated in two parts, so that a job's can be added up over its runs: `import_seconds`,
what the job spent before its first run was at hand (interpreter, imports, opening the data, the
plan; nearly 0 in the job's later runs), and `start_seconds`, from there to the first training step
(model, probes, trainer, a checkpoint to go on from). `train_seconds` and `probe_seconds` include
earlier processes of a run that was resumed. `seconds` is the run's own: start, training, probes and
evaluation.
"""

from __future__ import annotations

from dataclasses import dataclass

from behavior_scaling.train.matmul_rate import MatmulRate
from behavior_scaling.train.tally import Tally


@dataclass(frozen=True)
class Spent:
    """What the tally does not count."""

    import_seconds: float
    start_seconds: float
    evaluate_seconds: float
    rate_seconds: float  # of measuring the rate of matrix products
    peak_memory_bytes: int


def timings(tally: Tally, spent: Spent, rate: MatmulRate | None) -> dict[str, float]:
    """By name, as in a record.

    `executed_gflops` counts all of training, the optimizer's time and the feeding included;
    `matmul_gflops` is the rate of the same products alone (train/matmul_rate.py), `matmul_share`
    the former over the latter. A rate of a run that took no step is absent.
    """
    found: dict[str, float] = {
        "import_seconds": spent.import_seconds,
        "start_seconds": spent.start_seconds,
        "train_seconds": tally.seconds,
        "probe_seconds": tally.probe_seconds,
        "evaluate_seconds": spent.evaluate_seconds,
        "rate_seconds": spent.rate_seconds,
        "seconds": spent.start_seconds
        + tally.seconds
        + tally.probe_seconds
        + spent.evaluate_seconds,
        "events_per_second": tally.events_per_second,
        "peak_memory_bytes": spent.peak_memory_bytes,
    }
    if tally.seconds:
        found["executed_gflops"] = tally.executed_gflops
    if rate is not None:
        found["matmul_gflops"] = rate.gflops
    if tally.seconds and rate is not None:
        found["matmul_share"] = tally.executed_gflops / rate.gflops
    return found
