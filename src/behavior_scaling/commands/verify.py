"""`verify`: a seeded sample of a shipped study, trained again and held against its archive."""

from __future__ import annotations

import math
import sys
import tempfile
import time
from argparse import Namespace
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

from behavior_scaling.commands.verify_words import last_line, table
from behavior_scaling.config import Study, load_parts, load_study
from behavior_scaling.layout import Layout
from behavior_scaling.records.archive import Archive
from behavior_scaling.records.record import Record
from behavior_scaling.records.spec import NUMERICS, DataSpec, data_spec
from behavior_scaling.sweep.cells import Cell, resolve, unique
from behavior_scaling.sweep.execution import execution_of
from behavior_scaling.sweep.plan import make_plan
from behavior_scaling.sweep.sample import Drawable, Sample, draw
from behavior_scaling.train.retrain import Task, matmul_gflops, plant_parent, retrain

DIFFERS, OTHER_DATA = 1, 3


@dataclass(frozen=True)
class Run:
    """An archived run of a study."""

    archive: Archive
    record: Record
    kinds: tuple[str, ...]
    task: Task

    @property
    def seconds(self) -> float:
        """That it took, the measurement of its rate included."""
        said = self.record.timings
        return said.get("seconds", 0.0) + said.get("rate_seconds", 0.0)


class OtherDataError(ValueError):
    """The prepared data are not those of the archive: nothing can be said of its runs."""


def verify(args: Namespace) -> int:
    """Train a sample again; 0 if all of it passes, 1 if not, 3 if the data are others."""
    from behavior_scaling.laws.replication import compare, seed_noise

    began = time.monotonic()
    runs: dict[str, Run] = {}
    others: list[str] = []
    main = load_study(args.config)
    for path, study in ({args.config: main} | load_parts(args.config, main)).items():
        try:
            runs |= {run.record.id: run for run in _runs(path, study, args.results, study != main)}
        except OtherDataError as error:
            others.append(str(error))
            print(f"other data: {error}")
    if not runs:
        return OTHER_DATA
    scale = _scale(list(runs.values()))
    sample = _sample(runs, args, scale)
    if not sample.runs:
        raise ValueError(
            f"no run fits {args.minutes:g} minutes; the shortest takes about "
            f"{min(run.seconds for run in runs.values()) * scale:.0f} s: give --minutes"
        )
    _say_sample(sample, len(runs), scale, args)
    noise = {
        run.archive.folder: seed_noise(
            other.record for other in runs.values() if other.archive is run.archive
        )
        for run in runs.values()
    }
    drawn = [runs[one.key] for one in sample.runs]
    found = []
    with tempfile.TemporaryDirectory(prefix="behavior-scaling-verify-") as name:
        folder = Path(name)
        for run in drawn:
            if run.record.spec.parent is not None:
                plant_parent(run.archive, run.record.spec.parent, folder)
        for record in retrain([run.task for run in drawn], folder, args.jobs):
            run = runs[record.id]
            one = compare(run.record, record, noise[run.archive.folder])
            found.append((run.record, one))
            _say(
                f"{len(found)} of {len(drawn)}: {run.record.spec.id[:12]}, {run.kinds[0]}: "
                f"{one.verdict}, {record.timings.get('seconds', 0):.1f} s "
                f"(archived {run.record.timings.get('seconds', 0):.1f} s)"
            )
    order = {run.record.id: number for number, run in enumerate(drawn)}
    found.sort(key=lambda pair: order[pair[1].run_id])
    named = [(runs[one.run_id].kinds[0], record, one) for record, one in found]
    print("\n".join(table(named)))
    print(last_line([one for _, one in found], others, time.monotonic() - began, args.seed))
    if any(not one.passes for _, one in found):
        return DIFFERS
    return OTHER_DATA if others else 0


def _runs(config: Path, study: Study, results: Path, part: bool) -> Iterator[Run]:
    """Every archived run of a study, or of a part of one, that may be trained again.

    Raises:
        OtherDataError: its data are prepared, and others.
        ValueError: its data are not prepared, or the archive holds none of its runs.
    """
    from behavior_scaling.data.known import known, known_sizes
    from behavior_scaling.data.store import META

    place = Layout(results, study)
    archive = Archive(place.archive)
    if archive.numerics != NUMERICS:
        raise ValueError(
            f"{place.archive}: made with NUMERICS {archive.numerics}, this code computes with "
            f"{NUMERICS}: verify it with the version of the code that made it"
        )
    if not (place.data / META).is_file():
        said = f"{place.data} holds no prepared data: run `make data STUDY={config}` first"
        if not part:
            raise ValueError(said)
        _say(f"{study.name}, a part of the study, is left out: {said}")
        return
    _check_data(study, place, archive.data)
    n_items = known(
        known_sizes(study.data, place.data, place.archive).n_items, study.data, place.data
    )
    kinds: dict[str, dict[str, None]] = defaultdict(dict)
    cells = make_plan(study, n_items).cells
    for cell in cells:
        kinds[cell.key][_kind(study, cell, cell.axis, cell.arm)] = None
    held = 0
    for cell in unique(list(cells)):
        spec = resolve(cell, study, archive.data)
        if spec.id in archive:
            held += 1
            record = archive.load(spec.id)
            if record.outcome != "failed":
                of = tuple(kinds.get(cell.key, {_kind(study, cell, "parent", ""): None}))
                task = Task(spec, place.data, execution_of(cell, study, n_items))
                yield Run(archive, record, of, task)
    if not held:
        raise ValueError(f"{place.archive} holds no run that {config} asks for: has it changed?")


def _kind(study: Study, cell: Cell, axis: str, arm: str) -> str:
    return f"{study.name} {'/'.join(filter(None, (axis, arm)))}, stage {cell.stage}"


def _check_data(study: Study, place: Layout, archived: DataSpec) -> None:
    from behavior_scaling.data.store import Dataset

    found = Dataset.open(place.data, verify=True).data_spec()
    if found.identity != archived.identity:
        raise OtherDataError(
            f"{place.data} has identity {found.identity[:16]}, the archive's runs were trained on "
            f"{archived.identity[:16]}: the source has changed, and this is no failed replication"
        )
    asked = data_spec(study.data, archived.identity)
    for field in fields(DataSpec):
        wanted, stated = getattr(archived, field.name), getattr(asked, field.name)
        if wanted != stated:
            raise ValueError(
                f"{study.name}: data.{field.name} is {stated!r}, the archive's runs have {wanted!r}"
            )


def _scale(runs: list[Run]) -> float:
    """Seconds here over seconds in the archive: by the rate of a run's products, in octaves.

    Octaves, so that a sample does not change with the little that two measurements differ by.
    """
    known = [
        run
        for run in runs
        if run.record.spec.stage == 1 and run.record.timings.get("matmul_gflops")
    ]
    shortest = min(known, key=lambda run: (run.seconds, run.record.id), default=None)
    gflops = None if shortest is None else matmul_gflops(shortest.task)
    if shortest is None or not gflops:
        return 1.0
    return float(2.0 ** round(math.log2(shortest.record.timings["matmul_gflops"] / gflops)))


def _sample(runs: dict[str, Run], args: Namespace, scale: float) -> Sample:
    seconds = 60 * args.minutes
    drawable = [Drawable(i, run.kinds, scale * run.seconds) for i, run in runs.items()]
    fitting = [one for one in drawable if args.all_kinds or one.seconds <= seconds]
    return draw(fitting, args.jobs * seconds, args.seed, all_kinds=args.all_kinds)


def _say_sample(sample: Sample, of: int, scale: float, args: Namespace) -> None:
    total = sum(run.seconds for run in sample.runs)
    _say(
        f"{len(sample.runs)} of {of} archived runs are trained again, {args.jobs} at a time: about "
        f"{total / args.jobs:.0f} s (a run takes {scale:g} of its archived seconds here)"
    )
    for kind in sample.left_out:
        _say(f"not in the sample, its cheapest run takes too long: {kind}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
