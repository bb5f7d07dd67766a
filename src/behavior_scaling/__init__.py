"""Scaling laws for behavioural foundation models: data, runs, laws, figures."""

__version__ = "0.1.0"
