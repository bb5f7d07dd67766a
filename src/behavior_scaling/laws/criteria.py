"""Model choice: the corrected Akaike criterion, and how much of it a term must gain.

Choices: a term is shown by the data when it gains more than 4 (definitions.md, 'Laws'); the scale
of the residuals is profiled out. An objective that grows with the p-th power of that scale (2 for
squares, 1 for absolute values, between for Huber's function) leaves (2 n / p) log(objective), the
normal and the Laplace likelihood being the two ends.
"""

from __future__ import annotations

import numpy as np

GAIN = 4.0


def aicc(objective: float, n: int, k: int, power: float = 2.0) -> float:
    """Corrected Akaike criterion up to a constant that depends on n and power alone.

    Args:
        objective: sum of squares, or of another function of the residuals; positive.
        n: points.
        k: parameters, the scale included.
        power: p above.

    Returns:
        (2 n / p) log(objective / n) + 2 k + 2 k (k + 1) / (n - k - 1); infinite if n <= k + 1.
    """
    if n - k - 1 <= 0:
        return float("inf")
    fit = 2 * n / power * float(np.log(objective / n))
    return fit + 2 * k + 2 * k * (k + 1) / (n - k - 1)
