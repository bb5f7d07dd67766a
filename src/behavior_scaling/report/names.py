"""Names of what the report makes, for the DAG: no drawing library is imported here."""

FIGURES = ("allocation", "share", "batch", "negatives", "agreement", "compute")
LAWS = ("allocation", "share", "batch", "negatives", "agreement", "compute")
TABLES = ("runs", "optima", "agreement", "failures", "claims")
