"""The log of one run: a file beside its record, and its lines in the log of the job.

Choices: lines are appended as they come, so that the file tells of a run that was killed, too, and
a run that is resumed goes on in the same file; it travels with the record, whose hashes cover it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path


class RunLog:
    """Takes the lines of a run.

    Args:
        path: of the run's own file.
        job: takes lines of the job.
        name: says which run, before every line of the job.
    """

    def __init__(self, path: Path, job: Callable[[str], None], name: str):
        self._path = path
        self._job = job
        self._name = name

    def __call__(self, line: str) -> None:
        """A line for both."""
        self.keep(line)
        self.say(line)

    def keep(self, text: str) -> None:
        """Text for the run's file alone, after the time in UTC."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with self._path.open("a", encoding="utf-8") as file:
            file.write(f"{now} {text}\n")

    def say(self, line: str) -> None:
        """A line for the job alone."""
        self._job(f"{self._name}: {line}")
