"""Evaluation of a trained model: exact ranks over the full catalogue, metrics of ranks, slices."""
