"""A spec and a record to damage."""

from __future__ import annotations

from behavior_scaling.records.record import Record
from behavior_scaling.records.spec import (
    ContextualizerSpec,
    DataSpec,
    EmbedderSpec,
    ObjectiveSpec,
    OptimizerSpec,
    RunSpec,
)


def example_spec() -> RunSpec:
    return RunSpec(
        stage=1,
        budget=1e10,
        positions=1000,
        batch=4,
        seed=0,
        data=DataSpec("toy", "abc", 8, 4, 512, 4, 4, "time", 0.8, 10, 1.0, 3600),
        embedder=EmbedderSpec("transformer", 8, 1),
        contextualizer=ContextualizerSpec("transformer", 8, 1, 1),
        objective=ObjectiveSpec("corrected", 16, 0, "mask"),
        optimizer=OptimizerSpec(0.01, 0.05, 0.0, 0.0, 0.9, 0.99, 1.0),
        probes=0,
        precision="fp32",
        threads=1,
        parent=None,
    )


def example_record() -> Record:
    return Record(
        spec=example_spec(),
        outcome="done",
        counts={"steps": 10, "n_cand_distinct": 12.5},
        metrics={"m": 0.25, "undefined": None},
        curve=[{"positions": 500.0, "loss": 3.0}],
        timings={"train": 1.0},
    )
