"""What a process needs to know of a run, its data aside: as an object, and as a line of JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from behavior_scaling.records.spec import RunSpec
from behavior_scaling.sizes.execution import Execution


@dataclass(frozen=True)
class Job:
    """One attempt at a run; fields as of train_run."""

    spec: RunSpec
    work_dir: Path
    parent_embedder: Path | None
    checkpoint_seconds: float
    job_began: float
    execution: Execution

    def to_json(self) -> str:
        """One line; the clock of `job_began` is the machine's, the same in all its processes."""
        body = {
            "spec": self.spec.to_dict(),
            "work_dir": str(self.work_dir.absolute()),
            "parent_embedder": None
            if self.parent_embedder is None
            else str(self.parent_embedder.absolute()),
            "checkpoint_seconds": self.checkpoint_seconds,
            "job_began": self.job_began,
            "execution": asdict(self.execution),
        }
        return json.dumps(body)

    @classmethod
    def from_json(cls, text: str) -> Job:
        """Inverse of to_json."""
        body = json.loads(text)
        parent = body["parent_embedder"]
        return cls(
            RunSpec.from_dict(body["spec"]),
            Path(body["work_dir"]),
            None if parent is None else Path(parent),
            body["checkpoint_seconds"],
            body["job_began"],
            Execution(**body["execution"]),
        )
