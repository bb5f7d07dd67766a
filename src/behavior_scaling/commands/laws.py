"""`fit`: the laws of a study, or with --law any one law on anyone's table."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence

STUDY = ("runs", "floors", "out")
COLUMNS = ("n", "d", "c", "y", "x", "unique")
SETTINGS = ("drop_largest", "tolerance", "delta", "residuals", "bootstrap", "seed")


def fit(args: Namespace) -> int:
    """Fit a study's table of runs, or a law to a table; one of them, never both."""
    if args.law is None and args.csv is None:
        return _study(args)
    if args.law is None or args.csv is None:
        raise ValueError("fit: --law and --csv go together: which law, on which table")
    given = [
        name
        for name in (*STUDY, "users", "probes", "prediction")
        if getattr(args, name, None) is not None
    ]
    if given:
        raise ValueError(
            f"fit: --law (one law on any table) and --{given[0]} (all laws of a study) exclude one "
            "another"
        )
    return _table(args)


def _study(args: Namespace) -> int:
    from behavior_scaling.commands.report import fit as fit_study

    for name in (*COLUMNS, *SETTINGS, "where", "json"):
        if getattr(args, name) is not None:
            raise ValueError(f"fit: {_option(name)} belongs to --law with --csv")
    missing = [name for name in STUDY if getattr(args, name) is None]
    if missing:
        raise ValueError(
            f"fit: --{missing[0]} is missing; a study needs --runs, --floors and --out, any other "
            "table --law and --csv"
        )
    return fit_study(args)


def _table(args: Namespace) -> int:
    from behavior_scaling.laws.csv_table import read_table
    from behavior_scaling.laws.on_table import fit_table
    from behavior_scaling.laws.on_table_text import described
    from behavior_scaling.laws.write import write_laws

    if args.y is None:
        raise ValueError("fit: --y is missing: which column holds the loss")
    if args.json is not None and args.json.suffix != ".json":
        raise ValueError(f"fit: --json {args.json}: the name must end in .json")
    options = {name: getattr(args, name) for name in (*COLUMNS, *SETTINGS)}
    result = fit_table(args.law, read_table(args.csv), where=_where(args.where), **options)
    print(described(result))
    if args.json is not None:
        write_laws({args.json.stem: result.to_dict()}, args.json.parent)
    return 0


def _where(conditions: Sequence[str] | None) -> dict[str, str]:
    chosen = {}
    for condition in conditions or ():
        column, equals, value = condition.partition("=")
        if not equals:
            raise ValueError(f"fit: --where {condition!r} is not COLUMN=VALUE")
        if column in chosen:
            raise ValueError(f"fit: --where names {column!r} twice")
        chosen[column] = value
    return chosen


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")
