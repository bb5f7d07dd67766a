"""The step `validate`: what is wrong with one's own tables, before anything is prepared."""

from __future__ import annotations

import json
import sys
import tempfile
from argparse import Namespace
from pathlib import Path

from behavior_scaling.files import write_text


def validate(args: Namespace) -> int:
    """Report every problem of described tables, or first propose a description of them."""
    from behavior_scaling.config_parts import DataConfig
    from behavior_scaling.data.own_config import parse_description, read_description
    from behavior_scaling.data.validate import validate as run
    from behavior_scaling.data.validate_text import as_json, as_text

    described = [file for file in args.files if file.suffix in (".yaml", ".yml")]
    if described:
        if len(args.files) > 1 or args.write:
            raise ValueError("a YAML stands alone: it names its files; --write is for files")
        path = described[0]
        description, folder = read_description(path), path.parent
    else:
        path = args.write or Path("proposed.yaml")
        text = _propose(args.files, path.parent)
        description, folder = parse_description(text, path.name), path.parent
        print(text)
        if args.write:
            if args.write.exists():
                raise ValueError(f"{args.write}: is there already; name another file")
            write_text(args.write, text)
            print(f"written: {args.write}", file=sys.stderr)
    report = run(description, folder, path.name, DataConfig(source=str(path)))
    print(as_text(report))
    if args.json:
        write_text(args.json, json.dumps(as_json(report), indent=1, allow_nan=False) + "\n")
    return 1 if report.failed else 0


def _propose(files: list[Path], folder: Path) -> str:
    from behavior_scaling.data.engine import engine
    from behavior_scaling.data.validate_guess import propose

    with tempfile.TemporaryDirectory() as scratch, engine(Path(scratch)) as connection:
        return propose(connection, files, folder)
