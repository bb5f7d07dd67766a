"""What a table cannot tell about a fitted law E + sum_k A_k x_k^-alpha_k: numbers to withhold.

Choices: a part (E, or a term) must gain more than 4 in AICc over the law without it
(definitions.md, 'Laws'), a single term over a constant; a law with too few points for AICc shows
nothing, but for a plain power law, for which the F test's 95% quantile stands in. Two terms must
gain as much over the same law with their roles exchanged, where that is another minimum; two inputs
that keep to one line within 5% (one budget, or D = 20 N) tell nothing about two terms; parameters
that move together along a direction that the Jacobian does not see are withheld together.
"""

from __future__ import annotations

import numpy as np

from behavior_scaling.laws.arrays import Array, f_quantile
from behavior_scaling.laws.criteria import GAIN, aicc
from behavior_scaling.laws.solve import Solution, scaled_gram
from behavior_scaling.laws.term_problem import Problem

LINE = 0.05  # range of the logarithms across the line
APART = 0.05  # relative, of exponents: closer ones belong to one minimum
MAX_CONDITION = 1e6
INVOLVED = 0.05  # a parameter's component in an unseen direction of unit length
BEATEN = 1e-2  # of the objective: a smaller law that is lower by more shows a missed minimum
ROUNDING = 1e-12  # of the largest |y|: smaller residuals count as these
EXACT = 1e-9  # of the largest |y|: residuals below it are no noise


def not_shown(problem: Problem, free: Solution) -> dict[str, str]:
    """Parameters that the rows do not show, with the evidence."""
    if _on_a_line(problem, free.parameters):
        said = "the sizes of both terms keep to one line within 5% (one budget, or a fixed ratio)"
        return dict.fromkeys(problem.names, said)
    lost = _without(problem, free)
    terms = {term.amplitude for term in problem.inputs}
    if terms <= lost.keys():
        said = "no term is shown, so that nothing tells where the law would level off"
        return dict.fromkeys(problem.names, said) | lost
    lost = _unseen(problem, free) | lost
    return lost if terms & lost.keys() else _exchanged(problem, free) | lost


def _without(problem: Problem, free: Solution) -> dict[str, str]:
    """Parts that gain too little; everything, where a law of fewer parts fits better."""
    exact = free.objective <= _size(problem, EXACT)
    out: dict[str, str] = {}
    for part, names in problem.parts.items():
        rival = problem.without(part, free.parameters)
        found = rival.solve()
        if not exact and found.objective < free.objective * (1 - BEATEN):
            return dict.fromkeys(problem.names, f"without {part} a lower minimum was found")
        left = max(len(problem.names) - len(names), len(rival.names))
        said = _missing(problem, part, _log_ratio(problem, free, found), left)
        out |= dict.fromkeys(names, said) if said else {}
    return out


def _missing(problem: Problem, part: str, log_ratio: float, left: int) -> str:
    """What a part lacks to be shown, `left` parameters standing without it; empty if nothing."""
    points, count = problem.y.size, len(problem.names)
    if points > count + 2:  # the residuals' scale is one parameter more
        gain = points * log_ratio + aicc(points, points, left + 1) - aicc(points, points, count + 1)
        said = f"AICc gains {gain:+.1f} by {part}; more than {GAIN:g} is needed"
        return said if gain <= GAIN else ""
    if problem.floor or left > 1:
        return f"{points} points for {count} parameters; AICc needs {count + 3}"
    spare = points - count
    limit = float(np.log1p(f_quantile(1, spare) / spare))
    said = f"{points} points: the slope's F is below its 95% quantile"
    return said if log_ratio <= limit else ""


def _exchanged(problem: Problem, free: Solution) -> dict[str, str]:
    """Both terms, where the law fits about as well with the one in the other's place."""
    other = problem.exchanged(free.parameters)
    if other is None:
        return {}
    found = problem.solve(other[None, :])
    here, there = (solution.parameters[problem.exponents] for solution in (free, found))
    gain = problem.y.size * _log_ratio(problem, free, found)
    if gain > GAIN or np.all(np.abs(there - here) <= APART * here):
        return {}
    said = f"AICc gains {gain:+.1f} over the two terms' exchange; more than {GAIN:g} is needed"
    names = [name for term in problem.inputs for name in (term.amplitude, term.exponent)]
    return dict.fromkeys(names, said)


def _unseen(problem: Problem, free: Solution) -> dict[str, str]:
    """Parameters along directions in which the predictions do not change."""
    gram = scaled_gram(problem.model(), free.parameters, np.ones(problem.y.size))
    kept = np.setdiff1d(np.arange(len(problem.names)), free.at_bound)
    if kept.size == 0:
        return {}
    values, vectors = np.linalg.eigh(gram[np.ix_(kept, kept)])
    weak = vectors[:, values <= values[-1] / MAX_CONDITION**2]
    names = [problem.names[i] for i in kept[np.any(np.abs(weak) > INVOLVED, axis=1)]]
    return dict.fromkeys(names, f"the rows cannot tell {', '.join(names)} apart")


def _on_a_line(problem: Problem, theta: Array) -> bool:
    logs = problem.logs(theta)
    if len(logs) < 2:
        return False
    both = np.stack(logs) - np.mean(logs, axis=1, keepdims=True)
    across = np.linalg.eigh(both @ both.T)[1][:, 0]
    return bool(np.ptp(across @ both) < LINE)


def _log_ratio(problem: Problem, free: Solution, found: Solution) -> float:
    """Logarithm of the residual variance of another solution over that of the free one."""
    least = _size(problem, ROUNDING)
    logs = [np.log(max(solution.objective, least)) for solution in (found, free)]
    return float(2 / _scale_power(problem, free) * (logs[0] - logs[1]))


def _scale_power(problem: Problem, free: Solution) -> float:
    """Power of the residuals' scale with which the objective grows there: 2 squares, 1 absolute."""
    delta = problem.asked.delta
    if delta is None or free.objective <= 0:
        return 2.0
    r = problem.model().evaluate(free.parameters[None, :]).values[0] - problem.observed
    return float(np.sum(np.abs(r) * np.minimum(np.abs(r), delta)) / free.objective)


def _size(problem: Problem, share: float) -> float:
    """The objective of residuals that are all a share of the largest |y|."""
    unit = share * max(float(np.max(np.abs(problem.observed))), 1e-300)
    return problem.y.size * unit**2
