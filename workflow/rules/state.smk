# Where the study stands, in Snakemake's own log, before and after; training says it after each run.
import sys
from contextlib import redirect_stdout

from behavior_scaling.cli import main


def say_state():
    """One line; no process of its own, no hash checked."""
    with redirect_stdout(sys.stderr):
        where = ["--config", str(STUDY_FILE), "--results", str(PLACE.results)]
        main(["status", *where, "--runs", STUDY.runs, "--line"])


onstart:
    say_state()


onsuccess:
    say_state()


onerror:
    say_state()
