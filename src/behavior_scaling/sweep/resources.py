"""What a job asks of a scheduler: GPUs, cores, memory, minutes.

Choices: a limit that is too low costs a start, since a run goes on from its checkpoint, and one
that is too high costs a place in the queue; so the first attempt asks for a small multiple of the
estimate, and every further one for twice the memory and twice the time, since a scheduler does not
say reliably which of them was short. Memory is the host's; a GPU's own is the plan's business
(sizes/memory.py). Each of a job's processes holds the catalogue's tokens twice while it copies
them from the data set to its device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from behavior_scaling.config import Study
from behavior_scaling.sweep.plan import Bundle

SAFETY = 3  # minutes over the estimate, which is a model of a few lines (seconds.py)
START_MINUTES = 10  # imports from a busy file system, hashes of the data, the GPU's kernels
PROCESS_MB = 4000  # the small studies take 0.5 to 1.1 GB, and two Snakemakes 0.2 GB
TOKEN_BYTES = 8  # of the catalogue: a code and a weight
COPIES = 2


@dataclass(frozen=True)
class Resources:
    """Of one attempt at a job."""

    gpu: int
    cpus: int
    mem_mb: int
    minutes: int


def resources(study: Study, bundle: Bundle, n_items: int, attempt: int) -> Resources:
    """What an attempt at a bundle asks for.

    Args:
        study: the study.
        bundle: the runs, one after the other.
        n_items: V, items of the catalogue.
        attempt: 1 at first, 2 after a failure, and so on.
    """
    more = doubled(attempt)
    catalogue = COPIES * TOKEN_BYTES * n_items * study.data.tokens
    process = PROCESS_MB + math.ceil(catalogue / 1e6)
    return Resources(
        gpu=bundle.devices if study.execution.gpu else 0,
        cpus=bundle.devices * study.execution.threads,
        mem_mb=bundle.devices * process * more,
        minutes=(START_MINUTES + math.ceil(SAFETY * bundle.seconds / 60)) * more,
    )


def doubled(attempt: int) -> int:
    """The factor of an attempt: 1, 2, 4, and so on."""
    return int(2 ** (attempt - 1))
