"""Names of what the report makes, for the DAG: no drawing library is imported here."""

FIGURES = (
    "allocation", "share", "batch", "negatives", "agreement", "compute",
    "surface", "optima", "critical_batch", "backtest", "floors",
)  # fmt: skip
LAWS = (
    "allocation", "share", "batch", "negatives", "agreement", "compute",
    "surface", "critical_batch", "backtest",
)  # fmt: skip
TABLES = (
    "runs", "optima", "optima_allocation", "optima_share", "optima_batch", "optima_negatives",
    "exponents", "agreement", "failures", "claims",
    "surface", "conventions", "critical_batch", "backtest", "choice_cost", "floors", "truth",
)  # fmt: skip
