"""Fitting E + sum_k A_k x_k^-alpha_k to any table: intervals, and what the rows cannot tell.

Choices: intervals are percentiles over resampled rows, each refitted from the optimum (and from two
points beside it where that gains anything), at levels widened for the degrees of freedom that the
parameters take (Hesterberg, Am. Stat. 69, 2015: expanded percentiles). What the rows do not show
(term_evidence) is 'not identified': a status, no number; the objective's minimum is given beside,
for comparison with other code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy import special

from behavior_scaling.laws.arrays import Array, LawsError, t_quantile
from behavior_scaling.laws.law_fit import LawFit
from behavior_scaling.laws.many import Many, minimise_many
from behavior_scaling.laws.parts import nothing
from behavior_scaling.laws.results import Estimate, Status
from behavior_scaling.laws.solve import SAME_MINIMUM, Solution
from behavior_scaling.laws.term_evidence import MAX_CONDITION, not_shown
from behavior_scaling.laws.term_problem import Asked, Input, Problem, checked

BESIDE = (0.7, 1.4)  # factors of the exponents from which resamples are fitted again,
PROBED = 200  # all of them where one of the first so many gains by it

Sample = Mapping[str, Array]  # parameters in own units, [resamples] each


def fit_terms(
    law: str,
    form: str,
    y: npt.ArrayLike,
    inputs: Sequence[Input],
    asked: Asked,
    *,
    floor: bool = True,
    starts: npt.ArrayLike | None = None,
    derived: Callable[[Sample], Sample] | None = None,
    notes: Sequence[str] = (),
) -> LawFit:
    """Fit E + sum_k A_k x_k^-alpha_k (without E if `floor` is false).

    Args:
        law: name of the law.
        form: in symbols.
        y: [n] positive.
        inputs: the terms; at most two.
        asked: residuals, Huber's delta, resamples and seed.
        floor: whether E is fitted.
        starts: [s, p] in the order log E, log A, alpha, ... with amplitudes in own units; None
            for a grid around the data.
        derived: from parameters in own units [r] to derived numbers [r].
        notes: said in the result.

    Raises:
        LawsError: as `checked`, or starts of another length.
    """
    problem = checked(y, inputs, asked, floor)
    return fit_problem(law, form, problem, starts=starts, derived=derived, notes=notes)


def fit_problem(
    law: str,
    form: str,
    problem: Problem,
    *,
    starts: npt.ArrayLike | None = None,
    derived: Callable[[Sample], Sample] | None = None,
    notes: Sequence[str] = (),
) -> LawFit:
    """As `fit_terms`, of a checked problem."""
    asked = problem.asked
    free = _solved(problem, starts)
    own = {name: float(value[0]) for name, value in problem.own(free.parameters[None, :]).items()}
    lost = not_shown(problem, free)
    sample = _resampled(problem, free) if asked.bootstrap else {}
    parameters = {
        name: _estimate(name, value, sample.get(name), problem, free, lost)
        for name, value in own.items()
    }
    more: dict[str, Estimate] = {}
    if derived is not None:
        point = derived({name: np.array([value]) for name, value in own.items()})
        # What follows from the terms stands whether or not the rows show E.
        terms = [estimate for name, estimate in parameters.items() if name != "E"]
        broken = next((estimate for estimate in terms if estimate.value is None), None)
        if broken is not None:
            more = {name: nothing(broken.status, broken.reason) for name in point}
        else:
            sample |= derived(sample) if sample else {}
            more = {
                name: _interval(float(v[0]), sample.get(name), problem) for name, v in point.items()
            }
    said = list(notes)
    if free.condition > MAX_CONDITION:
        said.append(f"ill-conditioned: the scaled Jacobian has condition {free.condition:.1e}")
    return LawFit(
        law=law,
        form=form,
        residuals=asked.residuals,
        delta=asked.delta,
        points=problem.y.size,
        parameters=parameters,
        derived=more,
        objective=free.objective,
        objective_mean=free.objective / problem.y.size,
        standard_errors={
            name: float(np.std(sample[name], ddof=1))
            for name, estimate in (parameters | more).items()
            if name in sample and estimate.value is not None
        },
        status=_status(free, parameters),
        best_share=free.best_share,
        starts=free.starts,
        condition=free.condition if np.isfinite(free.condition) else None,
        interval=_how(asked),
        minimum=own,
        notes=tuple(said),
    )


def _solved(problem: Problem, starts: npt.ArrayLike | None) -> Solution:
    """The best minimum from the given starts, or from the default ones."""
    if starts is None:
        return problem.solve()
    given = np.atleast_2d(np.asarray(starts, dtype=np.float64))
    if given.shape[1] != len(problem.names):
        raise LawsError(f"starts: {given.shape[1]} columns for {', '.join(problem.names)}")
    return problem.solve(problem.centred(given))


def _resampled(problem: Problem, free: Solution) -> dict[str, Array]:
    """Parameters in own units over resampled rows."""
    count, size = problem.asked.bootstrap, problem.y.size
    rng = np.random.default_rng(problem.asked.seed)
    weights = rng.multinomial(size, np.full(size, 1 / size), size=count).astype(np.float64)
    low, high = problem.bounds()

    def refitted(start: Array, rows: slice) -> Many:
        return minimise_many(
            problem.model(), problem.observed, np.tile(start, (len(weights[rows]), 1)), low, high,
            weights=weights[rows], delta=problem.asked.delta,
        )  # fmt: skip

    fit = refitted(free.parameters, slice(None))
    best, least = fit.parameters.copy(), fit.objective.copy()
    for factor in BESIDE:
        start = free.parameters.copy()
        start[problem.exponents] *= factor
        for rows in (slice(0, PROBED), slice(PROBED, count))[: 1 + (count > PROBED)]:
            other = refitted(start, rows)
            better = other.objective < least[rows] * (1 - SAME_MINIMUM)
            if not better.any():
                break  # the optimum is where these resamples lead from beside it, too
            best[rows][better], least[rows][better] = (
                other.parameters[better],
                other.objective[better],
            )
    return problem.own(best)


def _estimate(
    name: str,
    value: float,
    sample: Array | None,
    problem: Problem,
    free: Solution,
    lost: Mapping[str, str],
) -> Estimate:
    if name in lost:
        return nothing("not identified", lost[name])
    if free.status == "max iterations":
        return nothing("max iterations", "the solver stopped short of a minimum")
    index = problem.names.index(name)
    if index in free.at_bound:
        return Estimate(value, None, None, "at bound", f"{name} at the bound of its search")
    return _interval(value, sample, problem)


def _interval(value: float, sample: Array | None, problem: Problem) -> Estimate:
    if sample is None or sample.size == 0:
        return Estimate(value, None, None, "converged", "no resamples, no interval")
    spare = problem.y.size - len(problem.names)
    tail = float(special.ndtr(-np.sqrt(problem.y.size / spare) * t_quantile(spare)))
    low, high = np.quantile(sample, [tail, 1 - tail])
    return Estimate(value, min(float(low), value), max(float(high), value), "converged")


def _status(free: Solution, parameters: Mapping[str, Estimate]) -> Status:
    if free.status == "max iterations":
        return "max iterations"
    found = {estimate.status for estimate in parameters.values()}
    if "not identified" in found:
        return "not identified"
    return "at bound" if "at bound" in found else "converged"


def _how(asked: Asked) -> str:
    if not asked.bootstrap:
        return "none: no resamples"
    return f"95% expanded percentiles over {asked.bootstrap} resamples of rows, each refitted"
