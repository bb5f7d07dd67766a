"""Names of what the report makes, for the DAG: no drawing library is imported here."""

FIGURES = (
    "main",
    "allocation", "share", "batch", "negatives", "agreement", "compute",
    "surface", "optima", "critical_batch", "backtest", "prediction", "entropy", "floors",
    "calibration",
)  # fmt: skip
LAWS = (
    "allocation", "share", "batch", "negatives", "agreement", "compute",
    "surface", "critical_batch", "backtest", "prediction", "calibration",
)  # fmt: skip
TABLES = (
    "runs", "optima", "optima_allocation", "optima_share", "optima_batch", "optima_negatives",
    "exponents", "agreement", "failures", "claims",
    "surface", "conventions", "critical_batch", "backtest", "prediction", "lift",
    "choice_cost", "floors", "truth", "worlds",
    "learning_rates", "variations",
)  # fmt: skip
