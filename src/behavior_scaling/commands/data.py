"""Steps from source to prepared data."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from pathlib import Path

from behavior_scaling.config import load_study, study_schema
from behavior_scaling.files import read_json, sha256_tree, write_text


def fetch(args: Namespace) -> int:
    """Download (or find) the source's raw file and write down where it is."""
    from behavior_scaling.data import sources

    data = load_study(args.config).data
    source = sources.get(data)
    raw = source.fetch(sources.cache_folder(), sources.mirror_folder(data.mirror))
    body = {"source": data.source, "path": str(raw.resolve()), "sha256": sha256_tree(raw)}
    write_text(args.out, json.dumps(body, indent=1) + "\n")
    print(f"{data.source}: {raw}", file=sys.stderr)
    return 0


def prepare(args: Namespace) -> int:
    """Canonical tables, feature tokens, split and memory-mapped sequences."""
    from behavior_scaling.data.prepare import prepare as prepare_data

    data = load_study(args.config).data
    raw = read_json(args.raw, "remove it and fetch again")
    path = Path(raw["path"])
    if not path.exists() or sha256_tree(path) != raw["sha256"]:
        raise ValueError(f"{path}: gone or altered since it was fetched; remove {args.raw}")
    dataset = prepare_data(data, path, args.out)
    print(f"{args.out}: {dataset.meta}", file=sys.stderr)
    return 0


def floors(args: Namespace) -> int:
    """Popularity, recency, Markov and item-kNN on both evaluation splits; a world's oracle."""
    from behavior_scaling.data import baselines
    from behavior_scaling.data.store import Dataset
    from behavior_scaling.data.worlds.truth import oracle

    dataset = Dataset.open(args.data, verify=True)
    body = baselines.floors(dataset)
    if args.truth:
        for split, parts in oracle(
            read_json(args.truth, "remove it and run `truth` again")
        ).items():
            for part, values in parts.items():
                body[split][part]["oracle"] = values
    write_text(args.out, json.dumps(body, indent=1, allow_nan=False) + "\n")
    return 0


def schema(args: Namespace) -> int:
    """The schema that the Snakefile validates a study against."""
    write_text(args.out, json.dumps(study_schema(), indent=1) + "\n")
    return 0
