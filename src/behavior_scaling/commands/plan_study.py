"""`plan-study`: what a study will need of a GPU, before anything is spent or downloaded."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from behavior_scaling.config import Study, load_study
from behavior_scaling.layout import Layout
from behavior_scaling.sizes.gpus import GPUS, gpu_named
from behavior_scaling.sweep.plan import make_plan
from behavior_scaling.sweep.study_plan import DataSizes, plan_runs
from behavior_scaling.sweep.study_text import described, every_run


def plan_study(args: Namespace) -> int:
    """Print the plan; with --out, write its table and figure. 1 where a run does not fit."""
    study = _on(load_study(args.config), args.gpu)
    data = _sizes(study, args)
    plan = make_plan(study, data.items)
    runs = plan_runs(study, plan, data)
    lines = list(described(study, plan, data, runs))
    if args.all:
        lines += ["", *every_run(runs)]
    print("\n".join(lines))
    if args.out is not None:
        from behavior_scaling.report.plan_figure import write_plan

        for path in write_plan(study, runs, args.out):
            print(f"wrote {path}", file=sys.stderr)
    return 1 if any(run.choice.reason == "too large" for run in runs) else 0


def _on(study: Study, gpu: str | None) -> Study:
    """The study on the GPU of the command line, else on its own."""
    name = gpu or study.execution.gpu
    if name is None:
        raise ValueError(
            f"plan-study: {study.name} names no execution.gpu; give --gpu, one of {', '.join(GPUS)}"
        )
    gpu_named(name)
    return study.model_copy(update={"execution": study.execution.model_copy(update={"gpu": name})})


def _sizes(study: Study, args: Namespace) -> DataSizes:
    """What the command line says, else the source or its prepared data, else its publisher."""
    from behavior_scaling.data.known import known_sizes
    from behavior_scaling.data.sources.published import published

    if args.items is not None and args.events is not None:
        return DataSizes(args.items, args.events, args.users, "the command line", about=False)
    found = known_sizes(study.data, Layout(args.results, study).data)
    printed = published(study.data)
    if found.n_items is not None and found.n_events is not None:
        items, events, users = found.n_items, found.n_events, found.n_users
        said, about = "the source, or the data as prepared", False
    elif printed is not None:
        items, events = round(printed.items), round(printed.events)
        users, said, about = round(printed.users), printed.source, True
    else:
        missing = Path(study.data.source).name
        raise ValueError(
            f"plan-study: how large {missing} is will be known once it is prepared; give --items "
            f"and --events (and --users), counted or guessed"
        )
    if args.items is not None or args.events is not None or args.users is not None:
        said += ", and the command line"
    return DataSizes(args.items or items, args.events or events, args.users or users, said, about)
