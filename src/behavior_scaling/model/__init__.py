"""The two-part model and its objective. Importing this package imports no torch."""
