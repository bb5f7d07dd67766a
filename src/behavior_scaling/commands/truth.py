"""The step from a prepared world to its truth."""

from __future__ import annotations

import json
from argparse import Namespace

from behavior_scaling.config import load_study
from behavior_scaling.files import write_text


def truth(args: Namespace) -> int:
    """Write what a world's exact filter reaches on the evaluation positions."""
    from behavior_scaling.data.store import Dataset
    from behavior_scaling.data.worlds.truth import truth as truth_of

    body = truth_of(Dataset.open(args.data, verify=True), load_study(args.config).data)
    write_text(args.out, json.dumps(body, indent=1, allow_nan=False) + "\n")
    return 0
