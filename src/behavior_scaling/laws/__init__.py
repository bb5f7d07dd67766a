"""Scaling laws: pure functions from arrays to frozen results with an interval and a status."""
