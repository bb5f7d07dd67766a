"""Studies made of parts: which they are, what the report reads of them, laws over worlds.

Choices: shipped parts are collected and fitted by one process on one core, because they run beside
the study itself and are mostly small, and of a world the loss alone, since nothing else is read
of it (its own study fits all); everything that the report needs to find them stands in one
small file, so that it reads no study file.
"""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

from behavior_scaling.config import load_parts, load_study
from behavior_scaling.files import read_json, write_text
from behavior_scaling.layout import Layout


def parts(args: Namespace) -> int:
    """Write where each part's results are, or print the parts that run before the study itself."""
    study = load_study(args.config)
    runs = args.runs or study.runs
    found = load_parts(args.config, study)
    if args.out is None:
        if runs == "train":
            print("".join(f"{path}\n" for path in found), end="")
        return 0
    rows = []
    for part in found.values():
        place = Layout(args.results, part.model_copy(update={"runs": runs}))
        row: dict[str, Any] = {"study": part.name, "folder": part.name}
        row |= {"floors": str(place.floors_read.relative_to(args.results))}
        if part.data.is_world:
            row["world_seed"] = part.data.world.seed
        rows.append(row)
    write_text(args.out, json.dumps(rows, indent=1) + "\n")
    return 0


def part(args: Namespace) -> int:
    """Collect shipped studies' records and fit their laws, all in one process."""
    return max(_part(config, args.results) for config in args.config)


def _part(config: Path, results: Path) -> int:
    from behavior_scaling.commands.report import fit
    from behavior_scaling.commands.runs import collect
    from behavior_scaling.laws.floors import LOSS

    study = load_study(config).model_copy(update={"runs": "archive"})
    place = Layout(results, study)
    tables = {"users": place.users, "probes": place.probes, "floors": place.floors_read}
    where = {"config": config, "results": results, "archive": place.archive}
    collect(Namespace(**where, **tables, out=place.runs, data=None, store=None))
    scored = place.prediction if place.prediction.is_file() else None
    laws = Namespace(
        **tables, runs=place.runs, prediction=scored, out=place.folder / "laws", workers=1
    )
    return fit(laws, only=(LOSS,) if study.data.is_world else None)


def worlds(args: Namespace) -> int:
    """Fit what runs over the parts in synthetic worlds."""
    import pandas as pd

    from behavior_scaling.laws.floors import LOSS
    from behavior_scaling.laws.parts import nothing
    from behavior_scaling.laws.results import AxisFit, Estimate
    from behavior_scaling.laws.worlds import World, fit_worlds
    from behavior_scaling.laws.write import write_laws

    def read(folder: Path, name: str, key: str) -> dict[str, Any] | None:
        body = read_json(folder / "laws" / f"{name}.json", "remove it and fit the part again")
        return next((row for row in body[key] if row["metric"] == LOSS), None)

    def world(row: dict[str, Any]) -> World:
        folder = args.results / row["folder"]
        surface, axis = read(folder, "surface", "surface"), read(folder, "allocation", "fits")
        none = nothing("too few points", "no allocation axis was fitted")
        return World(
            study=row["study"],
            seed=row["world_seed"],
            runs=pd.read_parquet(folder / "runs.parquet"),
            floors=read_json(args.results / row["floors"], "remove it and run `floors` again"),
            surface={k: Estimate(**v) for k, v in surface["parameters"].items()} if surface else {},
            size=AxisFit.from_dict(axis).exponents["N"] if axis else none,
        )

    rows = read_json(args.parts, "remove it and run `parts` again")
    found = [world(row) for row in rows if "world_seed" in row]
    write_laws({"worlds": fit_worlds(found)}, args.out)
    return 0
