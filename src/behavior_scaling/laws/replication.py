"""Is a run that was trained again the one in the archive?

Choices: on the kind of machine, and with the versions, that the archived record names, every number
has to be the same: anything else is a difference. Elsewhere floating-point sums come in another
order, which training amplifies: mostly in the sixth digit, but a run whose training is chaotic
parts from its former self and ends as another seed would. The tolerance is therefore told in seed
noise as the archive itself measures it: SPAN standard deviations of a difference between two seeds
of one cell, pooled over the cells of a stage and budget; where these have no replicates, over all
cells of the archive; where there are none at all, RELATIVE of the archived value.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from behavior_scaling.laws.noise import pooled
from behavior_scaling.records.manifest import kind_of
from behavior_scaling.records.record import Record

HEADLINE = tuple(
    f"{split}/restored/all/{name}"
    for split in ("validation", "test")
    for name in ("cross_entropy", "recall@10")
)
SPAN = 3.0
RELATIVE = 0.01
ALL = (0, 0.0)

SeedNoise = Mapping[tuple[int, float], Mapping[str, float]]  # (stage, budget) -> metric -> sd


@dataclass(frozen=True)
class Row:
    """One number of a run, twice; None where a run has it not."""

    metric: str
    archived: float | None
    retrained: float | None
    tolerance: float

    @property
    def difference(self) -> float | None:
        """Retrained minus archived."""
        if self.archived is None or self.retrained is None:
            return None
        return self.retrained - self.archived

    @property
    def passes(self) -> bool:
        """Within the tolerance; a number that both lack is the same."""
        if self.difference is None:
            return self.archived is self.retrained
        return abs(self.difference) <= self.tolerance

    @property
    def verdict(self) -> str:
        """In words."""
        if self.archived == self.retrained:
            return "equal"
        return "within tolerance" if self.passes else "differs"


@dataclass(frozen=True)
class Comparison:
    """An archived run and its replication."""

    run_id: str
    same_kind: bool  # of machine and versions, as far as records tell
    exact: bool  # numeric_hash is the same
    rows: tuple[Row, ...]  # the headline metrics, and with them the first other difference
    reason: str  # of a failure that no row shows

    @property
    def passes(self) -> bool:
        """Exact, or elsewhere within tolerance."""
        return self.exact or not (self.reason or any(not row.passes for row in self.rows))

    @property
    def verdict(self) -> str:
        """In words."""
        if self.exact:
            return "exact"
        return "within tolerance" if self.passes else "differs"


def seed_noise(records: Iterable[Record]) -> SeedNoise:
    """Standard deviation of a single run around its cell, of every headline metric.

    Runs are of one cell when their specs differ in nothing but the seed (and so the parent). The
    entry ALL pools every stage and budget; an entry lacks what has no replicates.
    """
    groups: dict[tuple[int, float], list[Record]] = defaultdict(list)
    for record in records:
        if record.outcome == "done":
            groups[record.spec.stage, record.spec.budget].append(record)
            groups[ALL].append(record)
    return {group: _deviations(found) for group, found in groups.items()}


def same_kind(archived: Record, retrained: Record) -> bool:
    """Whether two runs were made with the same versions on the same kind of machine.

    What only one of the records tells (a younger one tells more) is not held against them.
    """
    for one, other in (
        (kind_of(archived), kind_of(retrained)),
        (archived.versions, retrained.versions),
    ):
        told = one.keys() & other.keys()
        if not told or any(one[key] != other[key] for key in told):
            return False
    return True


def compare(archived: Record, retrained: Record, noise: SeedNoise) -> Comparison:
    """Hold a run that was trained again against the archive.

    Args:
        archived: the shipped record.
        retrained: the same run's new record.
        noise: what seed_noise gives of the archive.
    """
    same = same_kind(archived, retrained)
    exact = archived.numeric_hash == retrained.numeric_hash
    names = list(HEADLINE)
    if same and not exact:
        names += _others(archived, retrained)[:1]
    rows = tuple(_row(name, archived, retrained, noise, exact=same) for name in names)
    reason = ""
    if archived.outcome != retrained.outcome:
        error = (retrained.error or "").rstrip().splitlines()
        reason = f"archived {archived.outcome}, retrained {retrained.outcome}: "
        reason += error[-1] if error else "no reason"
    elif same and not exact:
        reason = "every number was expected to be the same on this kind of machine"
    return Comparison(archived.id, same, exact, rows, reason)


def _row(name: str, archived: Record, retrained: Record, noise: SeedNoise, *, exact: bool) -> Row:
    value = archived.metrics.get(name)
    tolerance = 0.0
    if not exact and value is not None:
        spec = archived.spec
        levels = (noise.get((spec.stage, spec.budget), {}), noise.get(ALL, {}))
        found = next((level[name] for level in levels if name in level), None)
        tolerance = abs(value) * RELATIVE if found is None else SPAN * math.sqrt(2) * found
    return Row(name, value, retrained.metrics.get(name), tolerance)


def _others(archived: Record, retrained: Record) -> list[str]:
    """Metrics that are no headline and differ."""
    names = sorted(archived.metrics.keys() | retrained.metrics.keys())
    return [
        name
        for name in names
        if name not in HEADLINE and archived.metrics.get(name) != retrained.metrics.get(name)
    ]


def _deviations(records: list[Record]) -> dict[str, float]:
    found: dict[str, float] = {}
    for name in HEADLINE:
        runs = [(replace(r.spec, seed=0, parent=None).id, r.metrics.get(name)) for r in records]
        known = [(cell, value) for cell, value in runs if value is not None]
        if len(known) > len({cell for cell, _ in known}):
            squares, df = pooled([cell for cell, _ in known], [value for _, value in known])
            found[name] = math.sqrt(squares / df)
    return found
