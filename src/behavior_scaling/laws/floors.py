"""What the laws read of the floors: the loss of the Markov model on the headline positions."""

from __future__ import annotations

from collections.abc import Mapping

from behavior_scaling.laws.arrays import LawsError

LOSS = "validation/restored/all/cross_entropy"
# split, slice, floor, metric
Floors = Mapping[str, Mapping[str, Mapping[str, Mapping[str, float | int | None]]]]


def markov_loss(floors: Floors | None) -> float | None:
    """The floor of LOSS, nats an event: a best model above it describes bigrams ('pre-bigram').

    Raises:
        LawsError: floors are given and do not hold it.
    """
    if floors is None:
        return None
    try:
        loss = floors["validation"]["all"]["markov"]["cross_entropy"]
    except (KeyError, TypeError):
        loss = None
    if loss is None:
        raise LawsError(
            "floors: no validation/all/markov/cross_entropy in them; "
            "run `behavior-scaling floors` again"
        )
    return float(loss)
