"""Where a study stands: counts, what is left, when it ends; every number worked by hand."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from behavior_scaling.config import Study, load_study
from behavior_scaling.records.lease import STALE_SECONDS, Holder
from behavior_scaling.records.spec import DataSpec
from behavior_scaling.records.survey import Entry
from behavior_scaling.sweep.calibration import ENOUGH, Calibration, Finished
from behavior_scaling.sweep.cells import Cell, unique
from behavior_scaling.sweep.plan import Bundle, Plan, make_plan
from behavior_scaling.sweep.progress import Asked, Progress, Span, asked_runs, progress

from ..records.helpers import example_spec

STUDY = load_study(Path(__file__).parents[2] / "config/quick.yaml")
DATA = DataSpec("ml-100k", "abc", 64, 12, 65536, 16, 4, "time", 0.8, 10, 1.0, 3600)
SEEDS = itertools.count()


def cell(stage: int = 1, budget: float = 1e10, axis: str = "share") -> Cell:
    spec = example_spec()
    return Cell(
        axis, "", "s=0", False, stage, budget, 1000, 4, next(SEEDS),  # type: ignore[arg-type]
        spec.embedder, spec.contextualizer, spec.objective, spec.optimizer,
    )  # fmt: skip


def run(seconds: float, devices: int = 1, **kind: object) -> Asked:
    made = cell(**kind)  # type: ignore[arg-type]
    return Asked(made, made.key, seconds, devices)


def bundles(*jobs: list[Asked], parents: dict[int, list[int]] | None = None) -> Plan:
    """A plan of jobs; `parents` names the jobs that stand before one."""
    made = []
    for number, job in enumerate(jobs):
        before = tuple(str(parent) for parent in (parents or {}).get(number, []))
        seconds = sum(one.seconds for one in job)
        made.append(Bundle(str(number), tuple(one.cell for one in job), before, seconds))
    return Plan(tuple(one for job in made for one in job.cells), (), tuple(made))


def stand(
    *jobs: list[Asked],
    found: dict[str, Entry] | None = None,
    holders: tuple[Holder, ...] = (),
    parents: dict[int, list[int]] | None = None,
    cores: int | None = None,
    study: Study = STUDY,
) -> Progress:
    asked = [one for job in jobs for one in job]
    plan = bundles(*jobs, parents=parents)
    return progress(study, plan, asked, found or {}, holders, cores)


def holder(one: Asked, age: float = 0.0, **said: float) -> Holder:
    return Holder(one.run_id, "node1", 7, "2026-01-01T11:59:30+00:00", 3, age, said)


def done(seconds: float, evaluating: float = 0.0, device: str = "cpu", ended: float = 0.0) -> Entry:
    return Entry("done", "", seconds, evaluating, device, ended)


def test_every_run_is_in_one_state_and_only_what_has_no_outcome_takes_time() -> None:
    one, two, three, four, five, six = job = [run(10) for _ in range(6)]
    found = {
        one.run_id: done(10),
        two.run_id: Entry("failed", "OSError: no"),
        three.run_id: Entry("diverged", "loss is nan"),
        four.run_id: Entry("damaged", "record.json: altered"),
    }
    seen = stand(job, found=found, holders=(holder(five),))
    assert [r.state for r in seen.runs] == [
        "done", "failed", "diverged", "damaged", "running", "waiting",
    ]  # fmt: skip
    assert [r.left.value for r in seen.runs] == [0, 0, 0, 10, 10, 10]
    assert seen.to_come == 3
    assert seen.counts["waiting"] == 1
    assert six.run_id == seen.runs[-1].run_id
    assert seen.runs[1].error == "OSError: no"


def test_the_work_is_shared_by_the_cores_asked_for() -> None:
    jobs = [[run(10)] for _ in range(4)]
    alone, two = stand(*jobs), stand(*jobs, cores=2)
    assert (alone.end.value, alone.capacity, alone.reckoned) == (40, 1, "one run at a time")
    assert (two.end.value, two.capacity, two.reckoned) == (20, 2, "asked for")
    assert alone.work.value == two.work.value == 40


def test_runs_of_a_job_and_its_parents_follow_one_another() -> None:
    parent, child, other = [run(60), run(40)], [run(50, stage=2)], [run(10)]
    seen = stand(parent, child, other, parents={1: [0]}, cores=4)
    assert seen.end.value == 150  # 160 of work on four cores are 40
    begun = stand(parent, child, other, parents={1: [0]}, cores=4,
                  found={one.run_id: done(one.seconds) for one in parent})  # fmt: skip
    assert begun.end.value == 50


def test_device_hours_count_every_device_of_a_run() -> None:
    wide, narrow = run(100, devices=4), run(100)
    seen = stand([wide], [narrow])
    assert seen.capacity == 4
    assert seen.work.value == 500
    assert seen.end.value == 125
    at_work = stand([wide], [narrow], holders=(holder(narrow),))
    assert (at_work.capacity, at_work.reckoned) == (1, "at work")
    assert at_work.end.value == 500


def test_what_is_left_is_multiplied_by_the_median_ratio_of_finished_runs() -> None:
    finished, waiting = [run(10) for _ in range(5)], run(100)
    found = {one.run_id: done(10.0 * k) for k, one in enumerate(finished, start=1)}
    seen = stand([*finished, waiting], found=found)
    assert (seen.ratio.value, seen.ratio.runs) == (3, 5)
    # Ratios 1 to 5: the tenths of four steps are 0.4 of a step from both ends.
    assert (seen.ratio.low, seen.ratio.high) == pytest.approx((1.4, 4.6))
    left = seen.runs[-1].left
    assert (left.value, left.low, left.high) == pytest.approx((300, 140, 460))
    assert (seen.end.low, seen.end.high) == pytest.approx((140, 460))
    assert seen.spread_known


def test_few_finished_runs_have_no_spread_and_none_have_no_ratio() -> None:
    first, second, waiting = job = [run(10), run(10), run(100)]
    seen = stand(job, found={first.run_id: done(10), second.run_id: done(30)})
    assert seen.ratio.value == 2
    assert not seen.spread_known
    assert seen.runs[-1].left == Span(200, 200, 200)
    nothing = stand([waiting])
    assert (nothing.ratio.value, nothing.ratio.runs) == (1, 0)
    failed = stand([first, waiting], found={first.run_id: Entry("failed", seconds=3)})
    assert failed.ratio.runs == 0


def finish(
    stage: int, budget: float, ratio: float, many: int, **more: float | str
) -> list[Finished]:
    device, ended = str(more.get("device", "cpu")), float(more.get("ended", 0))
    made = cell(stage=stage, budget=budget)
    return [Finished(made, 10.0, 10.0 * ratio, 0.0, device, ended)] * many


def test_a_budget_speaks_for_itself_once_enough_of_it_has_finished() -> None:
    known = Calibration(
        [
            *finish(1, 1e10, 2.0, ENOUGH),
            *finish(1, 1e11, 8.0, ENOUGH - 1),
            *finish(2, 1e10, 4.0, ENOUGH + 5),
        ]
    )
    own = known.of(cell(stage=1, budget=1e10))
    assert (own.value, own.runs) == (2, ENOUGH)
    # Too few of its budget: its stage, 2 five times and 8 four times.
    assert known.of(cell(stage=1, budget=1e11)).value == 2
    assert known.of(cell(stage=1, budget=1e12)).runs == 2 * ENOUGH - 1
    assert known.of(cell(stage=2, budget=1e12)).value == 4
    alone = Calibration(finish(1, 1e10, 2.0, 1))
    assert (alone.of(cell(stage=2)).value, alone.all.runs) == (2, 1)


def test_only_the_device_of_the_latest_run_is_measured_against() -> None:
    known = Calibration(
        [
            *finish(1, 1e10, 50.0, 9, device="cpu", ended=1.0),
            *finish(1, 1e10, 0.5, 2, device="NVIDIA H100", ended=2.0),
        ]
    )
    assert (known.all.value, known.all.runs, known.device) == (0.5, 2, "NVIDIA H100")


def test_a_run_at_work_is_reckoned_by_its_own_rate_and_others_evaluation() -> None:
    finished, at_work = run(10), run(100)
    found = {finished.run_id: done(20, evaluating=5)}
    said = {"positions": 1000.0, "consumed": 400.0, "events_per_second": 10.0}
    seen = stand([finished, at_work], found=found, holders=(holder(at_work, age=2.0, **said),))
    # 600 positions at 10 a second, 2 s ago; a quarter of 2 x 100 s for its evaluation.
    assert seen.runs[1].left.value == pytest.approx(58 + 50)
    assert seen.runs[1].share == pytest.approx(0.4)
    over = {"positions": 1000.0, "consumed": 1000.0, "events_per_second": 10.0}
    late = stand([finished, at_work], found=found, holders=(holder(at_work, age=9.0, **over),))
    assert late.runs[1].left.value == pytest.approx(50)


@pytest.mark.parametrize(
    ("said", "share"),
    [({}, None), ({"positions": 1000.0, "consumed": 0.0, "events_per_second": 0.0}, 0.0)],
)
def test_a_run_that_has_no_rate_yet_is_its_estimate(
    said: dict[str, float], share: float | None
) -> None:
    one = run(100)
    seen = stand([one], holders=(holder(one, age=50, **said),))
    assert seen.runs[0].left.value == 100
    assert seen.runs[0].share == share


def test_a_clock_ahead_of_ours_adds_no_time() -> None:
    one = run(100)
    said = {"positions": 1000.0, "consumed": 400.0, "events_per_second": 10.0}
    seen = stand([one], holders=(holder(one, age=-500.0, **said),))
    assert (seen.runs[0].state, seen.runs[0].left.value) == ("running", 60)


def test_a_silent_holder_is_named_and_its_run_waits() -> None:
    one, two = job = [run(10), run(10)]
    silent = holder(one, age=STALE_SECONDS)
    seen = stand(job, holders=(silent, holder(two, age=STALE_SECONDS - 1)))
    assert [r.state for r in seen.runs] == ["waiting", "running"]
    assert seen.runs[0].holder == silent
    assert seen.runs[0].left.value == 10
    assert seen.capacity == 1


def test_who_was_heard_last_holds_a_run_and_other_studies_leases_are_theirs() -> None:
    one, two, foreign = run(10), run(10), run(10)
    late = holder(one, age=1)
    held = (late, holder(one, age=1000), holder(foreign), holder(two))
    seen = stand([one, two], found={two.run_id: done(1)}, holders=held)
    assert seen.runs[0].holder == late
    assert [r.state for r in seen.runs] == ["running", "done"]


def test_the_plan_of_a_study_asks_for_every_run_once() -> None:
    plan = make_plan(STUDY, 1682)
    asked = asked_runs(STUDY, plan, 1682, DATA)
    assert len(asked) == len({one.run_id for one in asked}) == len(list(unique(list(plan.cells))))
    assert len(asked) < len(plan.cells)  # some cells share a run
    seconds = sum(bundle.seconds for bundle in plan.bundles)
    assert sum(one.seconds for one in asked) == pytest.approx(seconds)
    assert {one.devices for one in asked} == {STUDY.execution.threads}
    seen = progress(STUDY, plan, asked_runs(STUDY, plan, 1682, None), {}, [])
    assert (seen.prepared, seen.counts["waiting"]) == (False, len(asked))
    assert seen.work.value == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("gpu", "device", "unit"),
    [(None, "cpu", "core"), (None, "NVIDIA H100", "GPU"), ("h100", "cpu", "GPU")],
)
def test_hours_are_of_gpus_by_plan_or_by_where_runs_are_made(
    gpu: str | None, device: str, unit: str
) -> None:
    one = run(10)
    part = STUDY.execution.model_copy(update={"gpu": gpu})
    study = STUDY.model_copy(update={"execution": part})
    seen = stand([one], found={one.run_id: done(1, device=device)}, study=study)
    assert seen.device == unit
