"""Training: a sweep point from spec to record, and bundles of them. Imports no torch by itself."""
