"""One process that trains runs again: `python -m behavior_scaling.train.retrain_worker`.

Started by retrain.py, never by hand. A line of input is a task, a line of output its answer: the
outcome of a run that is then in the scratch store, or the rate of a run's matrix products here.
The end of the input ends the process; so does a signal, since the scratch store goes with it.
"""

from __future__ import annotations

import json
import math
import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

from behavior_scaling.data.store import Dataset
from behavior_scaling.records.spec import RunSpec
from behavior_scaling.records.store import Store
from behavior_scaling.sizes.execution import Execution
from behavior_scaling.train.interrupt import InterruptedRunError


def main() -> int:
    """Do tasks until there are none."""
    mouth = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what is printed by the way is no answer
    for line in sys.stdin:
        task = json.loads(line)
        try:
            answer = _rate(task) if task["store"] is None else _train(task)
        except InterruptedRunError:
            return 130
        mouth.write(json.dumps(answer) + "\n")
        mouth.flush()
    return 0


def _train(task: dict[str, Any]) -> dict[str, Any]:
    from behavior_scaling.train.bundle import train_bundle

    outcomes = train_bundle(
        [RunSpec.from_dict(task["spec"])],
        _dataset(task["data"]),
        Store(Path(task["store"])),
        math.inf,  # a checkpoint would serve nobody
        lambda line: None,
        executions=[Execution(**task["execution"])],
    )
    return {"outcome": outcomes[0]}


def _rate(task: dict[str, Any]) -> dict[str, Any]:
    from behavior_scaling.train.lightning_import import import_lightning

    import_lightning()
    from behavior_scaling.train.fit import build
    from behavior_scaling.train.matmul_rate import rate_of_run

    dataset = _dataset(task["data"])
    module = build(RunSpec.from_dict(task["spec"]), dataset, None, Execution(**task["execution"]))
    rate = rate_of_run(module, dataset)
    return {"gflops": rate.gflops if rate else None}


@cache
def _dataset(folder: str) -> Dataset:
    return Dataset.open(Path(folder))


if __name__ == "__main__":
    raise SystemExit(main())
