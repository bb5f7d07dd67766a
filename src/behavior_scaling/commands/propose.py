"""`propose`: the YAML lines that results suggest; a person commits them."""

from __future__ import annotations

from argparse import Namespace


def propose(args: Namespace) -> int:
    """Print the lines, and with --write keep them in a file; the study file stays as it is."""
    from behavior_scaling.config import load_study
    from behavior_scaling.files import write_text
    from behavior_scaling.report.inputs import load_results
    from behavior_scaling.report.propose_points import point_lines
    from behavior_scaling.report.propose_rates import rule_lines

    study = load_study(args.config)
    if args.budgets and args.source == "calibration":
        raise ValueError("propose: --budgets belongs to --from laws")
    if args.write and args.write.resolve() == args.config.resolve():
        raise ValueError(f"propose: --write {args.write} is the study file itself")
    results = load_results(args.results / study.name)
    if args.source == "calibration":
        lines = list(rule_lines(results, study))
    else:
        budgets = args.budgets or sorted({float(budget) for budget in results.runs["budget"]})
        lines = list(point_lines(results, study, budgets))
    text = "\n".join(lines) + "\n"
    print(text, end="")
    if args.write:
        write_text(args.write, text)
    return 0
