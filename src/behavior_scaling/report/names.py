"""Names of what the report makes, for the DAG: no drawing library is imported here."""

FIGURES = ("allocation", "share", "batch", "negatives", "agreement", "compute")
LAWS = ("allocation", "share", "batch", "negatives", "agreement", "compute")
TABLES = (
    "runs", "optima", "optima_allocation", "optima_share", "optima_batch", "optima_negatives",
    "exponents", "agreement", "failures", "claims",
)  # fmt: skip
