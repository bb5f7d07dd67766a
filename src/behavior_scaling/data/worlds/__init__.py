"""Synthetic worlds with a known truth: docs/worlds.md has the formulas."""
