"""The table of coverage as a document."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from behavior_scaling.laws.planted_coverage import SEED, Proof, fault
from behavior_scaling.laws.power_analysis_score import Score

HEAD = """\
# Do the intervals hold what they say?

Written on {date} by `behavior-scaling coverage --out docs/laws_coverage.md` (seed {seed}); `make
test-slow` holds every row of the first table against the rule.

Known laws are planted in designed grids with seed noise, two seeds a cell, and the package's own
fits run on every replicate. *Converged* is the share of replicates that give a number; *bias* the
median of log(value / truth) for optima, of value - truth for exponents, E and b; *covered* the
share of the converged 95% intervals that hold the truth (± its binomial standard error); *wrong*
the share of all replicates with a number whose interval does not hold the truth.

**The rule.** Where at least 80% of the replicates converge, the intervals cover in 90 to 98% of
cases; elsewhere at most 5% of the replicates are confidently wrong. A row is a fault if its
observed share is one that a fit inside the rule would give with a chance below 2.5% (exact
binomial).
"""

BIASED = """
## What approach 2 does to curves that are no parabolas

The same fits on isoFLOP curves of Chinchilla's form (exponents .34 and .28). No rule is held
here: the vertex of a parabola is biased (arXiv 2603.22339), the bias grows with the width and the
offset of the grid, no test on the same cells can see it, and where noise is smaller than it the
interval misses. The exponent over budgets suffers little, because the bias is the same at every
budget. For levels of N* use the joint surface, `vpnls` or `parametric`.
"""

COLUMNS = (
    "| law | grid | estimand | replicates | converged | bias | covered | wrong | |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


def document(
    proofs: Sequence[Proof],
    biased: Sequence[Proof],
    date: str,
    replicates: int | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> str:
    """Run every proof and write the tables.

    Args:
        proofs: held against the rule.
        biased: shown only.
        date: printed, ISO.
        replicates: of every proof instead of its own number.
        progress: is told which proof runs.
    """
    parts = [HEAD.format(date=date, seed=SEED), COLUMNS]
    parts += [line for proof in proofs for line in _rows(proof, replicates, progress, judged=True)]
    parts += [BIASED, COLUMNS]
    parts += [line for proof in biased for line in _rows(proof, replicates, progress, judged=False)]
    return "\n".join(parts) + "\n"


def _rows(
    proof: Proof, replicates: int | None, progress: Callable[[str], None], *, judged: bool
) -> Iterator[str]:
    progress(f"{proof.law}, {proof.grade}: {proof.grid}")
    for one in proof.scores(replicates):
        said = (fault(one) or _holds(one)) if judged else ""
        bias = "-" if one.bias is None else f"{one.bias:+.3f}"
        covered = "-" if one.coverage is None else _percent(one.coverage.value, one.coverage.error)
        wrong = "-" if one.wrong is None else f"{one.wrong.value:.1%}"
        yield (
            f"| {proof.law} ({proof.grade}) | {proof.grid} | {one.estimand} | {one.replicates} | "
            f"{one.converged:.0%} | {bias} | {covered} | {wrong} | {said} |"
        )


def _holds(one: Score) -> str:
    if one.converged >= 0.8:
        return "covers"
    common = max(one.statuses, key=lambda name: one.statuses[name])
    return "says so" if common == "converged" else f"says so: {common}"


def _percent(value: float, error: float) -> str:
    return f"{value:.1%} ± {100 * error:.1f}"
