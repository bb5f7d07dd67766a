"""The command `behavior-scaling`: one subcommand a step, each a thin call into one module.

Choices: a step takes files and a few scalars and writes files, so that the DAG and a person call
it in the same way; each step imports what it needs when it runs, so that `--help` is instant and
analysis never loads torch; expected errors end with their message, not with a traceback.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

Command = Callable[[argparse.Namespace], int]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="behavior-scaling",
        description="Scaling laws for behavioural foundation models: every step by hand. "
        "`snakemake` runs them all in order; `COMMAND --help` says what a step reads and writes.",
    )
    steps = parser.add_subparsers(title="steps, in the order of the DAG", required=True)

    def step(name: str, module: str, text: str) -> argparse.ArgumentParser:
        sub = steps.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        sub.set_defaults(command=f"behavior_scaling.commands.{module}:{name.replace('-', '_')}")
        return sub

    def config(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("--config", type=Path, required=True, help="study file, YAML")

    def path(sub: argparse.ArgumentParser, name: str, text: str, required: bool = True) -> None:
        sub.add_argument(name, type=Path, required=required, help=text)

    sub = step("fetch", "data", "download and verify the raw files of a study's source")
    config(sub)
    path(sub, "--out", "JSON file that will name the raw file and its SHA-256")
    sub = step("prepare", "data", "turn raw files into the memory-mapped data set")
    config(sub)
    path(sub, "--raw", "file that `fetch` wrote")
    path(sub, "--out", "folder of the data set")
    sub = step("floors", "data", "score trivial rules on the evaluation positions")
    path(sub, "--data", "folder of the data set")
    path(sub, "--out", "JSON file to write")

    sub = step("sweep", "runs", "print the runs of a study and what it leaves out")
    config(sub)
    sub.add_argument("--explain", action="store_true", help="every cell, not only the totals")
    sub = step("train", "runs", "train the runs of a bundle that the store does not hold yet")
    config(sub)
    path(sub, "--data", "folder of the data set")
    path(sub, "--store", "folder of records")
    sub.add_argument("--bundle", required=True, help="key, as `sweep --explain` prints it")
    path(sub, "--out", "bundle file to write: ids, outcomes, hashes")
    sub = step("collect", "runs", "gather records into one table of runs")
    config(sub)
    path(sub, "--data", "folder of the data set (with --store)", required=False)
    path(sub, "--store", "folder of records", required=False)
    path(sub, "--archive", "folder of shipped records, instead of --data and --store", False)
    path(sub, "--floors", "JSON file for the archive's floors (with --archive)", False)
    path(sub, "--out", "Parquet file to write")
    sub = step("status", "runs", "count a study's runs by outcome and name what is not done")
    config(sub)
    path(sub, "--results", "results folder")
    sub = step("retry", "runs", "forget failed and diverged runs, so that they are trained again")
    config(sub)
    path(sub, "--results", "results folder")
    sub = step("archive", "runs", "copy finished records into results/archive")
    config(sub)
    path(sub, "--results", "results folder")
    sub.add_argument("--partial", action="store_true", help="accept runs that are not finished")

    sub = step("fit", "report", "fit the laws of every axis")
    path(sub, "--runs", "table that `collect` wrote")
    path(sub, "--floors", "file that `floors` wrote")
    path(sub, "--out", "folder for one JSON file a law")
    sub = step("figure", "report", "draw one figure (PDF, SVG, PNG) with its tidy CSV")
    sub.add_argument("name", help="name of the figure")
    path(sub, "--results", "folder of the study under results/")
    path(sub, "--floors", "file that `floors` wrote")
    sub = step("tables", "report", "write every table as CSV and Markdown")
    path(sub, "--results", "folder of the study under results/")
    sub = step("claims", "report", "hold our values against the paper's and give verdicts")
    path(sub, "--results", "folder of the study under results/")
    sub = step("numbers", "report", "write every number that the texts print, with its origin")
    path(sub, "--results", "folder of the study under results/")
    path(sub, "--floors", "file that `floors` wrote")
    sub = step("paper", "report", "build the paper from its template and the generated numbers")
    path(sub, "--results", "folder of the study under results/")
    path(sub, "--template", "Markdown template")
    path(sub, "--out", "PDF file to write")
    sub = step("compare", "report", "compare fresh figures with the promoted ones")
    path(sub, "--results", "folder of the study under results/")
    path(sub, "--promoted", "folder of the study under figures/")
    sub = step("promote", "report", "copy figures to the committed folder and update the README")
    path(sub, "--results", "folder of the study under results/")
    path(sub, "--promoted", "folder of the study under figures/")
    path(sub, "--readme", "file whose results block is rewritten")

    sub = step("schema", "data", "write the JSON schema of study files")
    path(sub, "--out", "JSON file to write")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one step; returns the exit status (0 done, 1 differences or gaps, 2 bad input)."""
    args = _parser().parse_args(argv)
    module, function = args.command.split(":")
    try:
        command: Command = getattr(import_module(module), function)
        return command(args)
    except (ValueError, KeyError, OSError) as error:
        text = error.args[0] if isinstance(error, KeyError) and error.args else error
        print(f"behavior-scaling: {text}", file=sys.stderr)
        return 2
