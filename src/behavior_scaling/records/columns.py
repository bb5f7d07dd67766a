"""Columns of the tables that runs carry beside their record, and that a study gathers of all runs.

`users.parquet`: one row for every split, slice, score and group of users, with the number of
positions and the sums over them (evaluate/users.py). Probes: one row for every point at which a
run was measured on its way (train/probes.py). Timings: what the table of runs copies from a
record's (train/timings.py), null where a record has none.
"""

USER_KEYS = ("split", "slice", "score", "group")
USER_SUMS = ("cross_entropy", "recall@10", "ndcg@10", "mrr@10")
USER_COLUMNS = (*USER_KEYS, "n_positions", *USER_SUMS)

TIMINGS = (
    "seconds", "import_seconds", "start_seconds", "train_seconds", "probe_seconds",
    "evaluate_seconds", "rate_seconds", "events_per_second", "executed_gflops", "matmul_gflops",
    "matmul_share", "peak_memory_bytes",
)  # fmt: skip

PROBE_PLACE = ("step", "positions")
PROBE_VALUES = ("validation_cross_entropy", "gradient_noise", "gradient_signal")
PROBE_COLUMNS = (*PROBE_PLACE, *PROBE_VALUES)
