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

from behavior_scaling.termination import terminable

Command = Callable[[argparse.Namespace], int]
TABLE_LAWS = (
    "envelope", "isoflop", "parametric", "vpnls", "power", "repetition", "share", "negatives",
    "batch",
)  # fmt: skip


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

    def results(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("--results", type=Path, default=Path("results"), help="results folder")

    def path(sub: argparse.ArgumentParser, name: str, text: str, required: bool = True) -> None:
        sub.add_argument(name, type=Path, required=required, help=text)

    sub = step("validate", "validate", "report what is wrong with your own tables")
    sub.add_argument(
        "files", type=Path, nargs="+", metavar="FILES",
        help="a YAML that describes tables, or the tables, for which one is proposed",
    )  # fmt: skip
    path(sub, "--write", "YAML file to write the proposed description to", False)
    path(sub, "--json", "JSON file to write the report to", False)
    sub = step("fetch", "data", "download and verify the raw files of a study's source")
    config(sub)
    path(sub, "--out", "JSON file that will name the raw file and its SHA-256")
    sub = step("prepare", "data", "turn raw files into the memory-mapped data set")
    config(sub)
    path(sub, "--raw", "file that `fetch` wrote")
    path(sub, "--out", "folder of the data set")
    sub = step("floors", "data", "score trivial rules on the evaluation positions")
    path(sub, "--data", "folder of the data set")
    path(sub, "--truth", "file that `truth` wrote, of a synthetic world", False)
    path(sub, "--out", "JSON file to write")
    sub = step("card", "card", "write the data card of a data set: Markdown, figure, CSV")
    path(sub, "--data", "folder of the data set")
    path(sub, "--floors", "JSON file that `floors` wrote", False)
    path(sub, "--config", "study file: names the source, for its licence and citation", False)
    path(sub, "--out", "folder to write card.md, card.png and card.csv into")
    sub = step("truth", "truth", "score a synthetic world's exact filter on the same positions")
    config(sub)
    path(sub, "--data", "folder of the data set")
    path(sub, "--out", "JSON file to write")

    sub = step("sweep", "runs", "print the runs of a study and what it leaves out")
    config(sub)
    results(sub)
    sub.add_argument("--explain", action="store_true", help="every cell, not only the totals")
    sub = step("power", "power", "say what a study's grid can tell, before any run")
    config(sub)
    results(sub)
    _power_options(sub)
    sub = step("plan-study", "plan_study", "say what a study needs of a GPU, before any run")
    config(sub)
    results(sub)
    _plan_options(sub)
    sub = step("train", "runs", "train the runs of a bundle that the store does not hold yet")
    config(sub)
    path(sub, "--data", "folder of the data set")
    path(sub, "--store", "folder of records")
    sub.add_argument("--bundle", required=True, help="key, as `sweep --explain` prints it")
    path(sub, "--out", "bundle file to write: ids, outcomes, hashes")
    sub = step("collect", "runs", "gather records into one table of runs")
    config(sub)
    results(sub)
    path(sub, "--data", "folder of the data set (with --store)", required=False)
    path(sub, "--store", "folder of records", required=False)
    path(sub, "--archive", "folder of shipped records, instead of --data and --store", False)
    path(sub, "--floors", "JSON file for the archive's floors (with --archive)", False)
    path(sub, "--out", "Parquet file to write: one row for every cell")
    path(sub, "--users", "Parquet file to write: sums over groups of users of every run")
    path(sub, "--probes", "Parquet file to write: what runs measured on their way")
    sub = step("status", "status", "show where a study stands: runs, time and device-hours left")
    config(sub)
    results(sub)
    _status_options(sub)
    sub = step("retry", "runs", "forget failed and diverged runs, so that they are trained again")
    config(sub)
    path(sub, "--results", "results folder")
    sub = step("archive", "archive", "add finished records to results/archive")
    config(sub)
    results(sub)
    sub.add_argument("--partial", action="store_true", help="accept runs that are not finished")
    sub.add_argument("--prune", action="store_true", help="remove what the study does not ask for")
    sub = step("verify", "verify", "train a sample of archived runs again and compare them")
    config(sub)
    results(sub)
    _verify_options(sub)
    sub = step("push", "share", "send a study's finished records and prepared data elsewhere")
    config(sub)
    results(sub)
    sub.add_argument("--to", required=True, metavar="URL", help="a folder, s3://bucket/name, ...")
    sub.add_argument(
        "--verify", action="store_true", help="read what is there already, replace what is damaged"
    )
    sub.add_argument("--dry-run", action="store_true", help="say what would be copied")
    sub = step("pull", "share", "bring a study's finished records and prepared data from elsewhere")
    config(sub)
    results(sub)
    sub.add_argument(
        "--from", dest="source", required=True, metavar="URL", help="where they were pushed to"
    )
    sub.add_argument("--dry-run", action="store_true", help="say what would be copied")

    sub = step("predict", "predict", "predict the largest budget, to be committed before it runs")
    config(sub)
    results(sub)
    sub.add_argument(
        "--below", type=float, metavar="BUDGET",
        help="predict this budget from those below it (default: the largest of the study)",
    )  # fmt: skip

    sub = step("fit", "laws", "fit the laws of every axis, or with --law one law on any table")
    path(sub, "--runs", "table that `collect` wrote", False)
    path(sub, "--floors", "file that `floors` wrote", False)
    path(sub, "--users", "user sums that `collect` wrote: users enter every interval", False)
    path(sub, "--probes", "probes that `collect` wrote: critical batch in three ways", False)
    path(sub, "--prediction", "file that `predict` wrote before the runs: it is scored", False)
    path(sub, "--out", "folder for one JSON file a law", False)
    sub.add_argument(
        "--workers", type=int, default=1, metavar="N",
        help="processes that share a study's metrics (default 1); no number depends on it",
    )  # fmt: skip
    _table_options(sub)
    sub = step("propose", "propose", "print the YAML lines that results suggest for a study")
    config(sub)
    results(sub)
    sub.add_argument(
        "--from", dest="source", required=True, choices=("calibration", "laws"),
        help="the learning-rate rule, or a base point a budget",
    )  # fmt: skip
    sub.add_argument(
        "--budgets", type=float, nargs="+", metavar="FLOPS",
        help="of the next study (with --from laws; default: those that were run)",
    )  # fmt: skip
    path(sub, "--write", "YAML file to write the lines to", False)
    sub = step("parts", "parts", "name the parts of a study, whose results its report holds, too")
    config(sub)
    results(sub)
    sub.add_argument(
        "--runs", choices=("train", "archive"), help="instead of what the study file says"
    )
    path(sub, "--out", "JSON file to write; without it the parts to run first are printed", False)
    sub = step("part", "parts", "collect shipped parts' records and fit their laws")
    sub.add_argument(
        "--config", required=True, type=Path, nargs="+", metavar="FILE", help="study files, YAML"
    )
    results(sub)
    sub = step("worlds", "parts", "fit what runs over the parts in synthetic worlds")
    results(sub)
    path(sub, "--parts", "file that `parts` wrote")
    path(sub, "--out", "folder for worlds.json")
    sub = step("figure", "report", "draw figures (PDF, SVG, PNG), each with its tidy CSV")
    sub.add_argument("names", nargs="+", metavar="NAME", help="name of a figure")
    path(sub, "--results", "folder of the study under results/")
    path(sub, "--floors", "file that `floors` wrote")
    sub = step("tables", "report", "write every table as CSV and Markdown")
    path(sub, "--results", "folder of the study under results/")
    path(sub, "--floors", "file that `floors` wrote")
    sub = step("claims", "report", "hold our values against the paper's and give verdicts")
    path(sub, "--results", "folder of the study under results/")
    sub = step("numbers", "report", "write every number that the texts print, with its origin")
    config(sub)
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

    sub = step("coverage", "power", "plant known laws and write what the intervals of fits cover")
    sub.add_argument("--replicates", type=int, help="of every grid instead of its own number")
    path(sub, "--out", "Markdown file to write")
    sub = step("schema", "data", "write the JSON schema of study files")
    path(sub, "--out", "JSON file to write")
    return parser


def _status_options(sub: argparse.ArgumentParser) -> None:
    """Options of `status`."""
    sub.add_argument(
        "--watch", type=float, nargs="?", const=5.0, metavar="SECONDS",
        help="look again every so many seconds (5) until every run has an outcome; checks no hash",
    )  # fmt: skip
    sub.add_argument("--line", action="store_true", help="one line for a log; checks no hash")
    sub.add_argument(
        "--runs", choices=("train", "archive"), help="instead of what the study file says"
    )
    sub.add_argument(
        "--cores", type=int, metavar="N",
        help="cores, or GPUs, to reckon the end with (default: those at work now)",
    )  # fmt: skip
    sub.add_argument("--json", type=Path, metavar="FILE", help="write all of it to FILE, too")


def _verify_options(sub: argparse.ArgumentParser) -> None:
    """Options of `verify`."""
    sub.add_argument("--minutes", type=float, default=5, help="that the sample takes (default 5)")
    sub.add_argument("--seed", type=int, default=0, help="of the sample (default 0)")
    sub.add_argument("--jobs", type=int, default=2, help="runs at a time (default 2)")
    sub.add_argument(
        "--all-kinds", action="store_true",
        help="a run of every axis, arm and stage, however long it takes",
    )  # fmt: skip


def _power_options(sub: argparse.ArgumentParser) -> None:
    """Options of `power`."""
    sub.add_argument(
        "--noise", type=float, metavar="SD", help="seed sd of a run, nats (default 0.01)"
    )
    sub.add_argument("--runs", type=Path, help="or measure it in a table that `collect` wrote")
    sub.add_argument(
        "--truth", action="append", metavar="NAME=VALUE",
        help="parameter of the planted truth, e.g. share.curvature=0.1 (repeatable)",
    )  # fmt: skip
    sub.add_argument("--replicates", type=int, default=200, help="simulated studies (default 200)")
    sub.add_argument("--seed", type=int, default=0, help="of every random draw (default 0)")
    sub.add_argument("--json", type=Path, metavar="OUT", help="write the report to OUT")


def _plan_options(sub: argparse.ArgumentParser) -> None:
    """Options of `plan-study`."""
    sub.add_argument("--gpu", help="name of a GPU, e.g. h100; else the study's execution.gpu")
    for name, text in (("items", "V"), ("events", "all events"), ("users", "all users")):
        sub.add_argument(
            f"--{name}", type=int, metavar="COUNT", help=f"{text}, of data not prepared yet"
        )
    sub.add_argument("--all", action="store_true", help="a line for every run")
    sub.add_argument("--out", type=Path, help="folder to write plan.csv and the figure into")


def _table_options(sub: argparse.ArgumentParser) -> None:
    """Options of `fit` for one law on anyone's table; None is the law's own default."""
    group = sub.add_argument_group(
        "one law on any table",
        "columns are named by their header; docs/guide_fit.md shows each law on a real table",
    )
    group.add_argument("--law", help=f"one of {', '.join(TABLE_LAWS)}")
    group.add_argument("--csv", type=Path, help="table to read: .csv, .tsv or .parquet")
    for name, text in (
        ("--y", "loss, lower is better"),
        ("--n", "parameters N"),
        ("--d", "positions (tokens, events) D; if not named, D = C / (6 N)"),
        ("--c", "compute C, groups the budgets; if not named, C = 6 N D"),
        ("--x", "the law's own variable: share, candidates, batch size; of power: any"),
        ("--unique", "distinct positions among D"),
    ):
        group.add_argument(name, metavar="COLUMN", help=text)
    group.add_argument(
        "--where", action="append", metavar="COLUMN=VALUE", help="only these rows (repeatable)"
    )
    group.add_argument(
        "--drop-largest", type=int, metavar="K", help="leave out rows with y >= its K-th largest"
    )
    group.add_argument(
        "--tolerance", type=float, help="share by which C (envelope: N) may vary in one group"
    )
    group.add_argument("--delta", type=float, help="Huber's threshold (default 1e-3)")
    group.add_argument("--residuals", help="log (default) or linear")
    group.add_argument("--bootstrap", type=int, metavar="R", help="resamples behind intervals")
    group.add_argument("--seed", type=int, help="of every random draw (default 0)")
    group.add_argument("--json", type=Path, metavar="OUT", help="write the fit to OUT")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one step; returns the exit status (0 done, 1 differences or gaps, 2 bad input)."""
    args = _parser().parse_args(argv)
    module, function = args.command.split(":")
    try:
        with terminable():
            command: Command = getattr(import_module(module), function)
            return command(args)
    except (ValueError, KeyError, OSError) as error:
        text = error.args[0] if isinstance(error, KeyError) and error.args else error
        print(f"behavior-scaling: {text}", file=sys.stderr)
        return 2
