"""What a reader of a data set's results must mind: sentences that rules choose from its numbers.

Choices: a rule speaks only where its number is far enough from harmless to change how results are
read; thresholds that definitions fix (500 positions and 100 users a slice, 4 epochs, a catalogue
whose full softmax is cheap) are those; every sentence holds the number that called it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from behavior_scaling.data.card import CardFacts
from behavior_scaling.laws.study import MIN_POSITIONS, MIN_USERS
from behavior_scaling.report.figures.panels import MANY_EPOCHS
from behavior_scaling.report.text import count, join, number, percent

SMALL_CATALOGUE = 10_000  # items whose full softmax is cheap
FEW_USERS = 1000  # evaluated, of a half
SLICES = {
    "all": "all targets", "session_start": "session starts", "cold_item": "cold items",
    "unseen_user": "unseen users",
}  # fmt: skip


def what_to_mind(facts: CardFacts, floors: pd.DataFrame) -> list[str]:
    """Sentences, in the order: how targets mislead, who is evaluated, how much can be learned.

    Args:
        facts: of the data set.
        floors: as card_words.read_floors gives them; may be empty.
    """
    rules = (_sequences, _repeats, _evaluation, _items, _amount, _floors)
    return [sentence for rule in rules for sentence in rule(facts, floors)]


def _sequences(facts: CardFacts, _: pd.DataFrame) -> Iterator[str]:
    if facts.inside is not None and facts.inside >= 0.5:
        yield (
            f"{percent(facts.inside)} of transitions lie inside one session: a plain next-event "
            f"metric mostly measures how sessions go on (basket completion); look at session "
            f"starts."
        )
    if facts.zero_gaps is not None and facts.zero_gaps >= 0.2:
        yield (
            f"{percent(facts.zero_gaps)} of transitions take no time: the order of such events is "
            f"that of the source's lines, and may say more of how they were written down than of "
            f"what the user did."
        )
    share = (facts.lengths.greatest or 0) / facts.counts.events
    if share >= 0.01:
        yield f"One user has {percent(share)} of all events: look whether it is a person."
    context, median = int(facts.settings["context"]), facts.lengths.quantiles["0.5"]
    if facts.lengths.quantiles["0.95"] * 2 <= context:
        yield (
            f"95% of users have at most {count(facts.lengths.quantiles['0.95'])} events: windows "
            f"of L = {context} hold many short sequences, and a shorter L costs less."
        )
    if median >= 4 * context:
        yield (
            f"Half of the users have at least {count(median)} events: a window of L = {context} "
            f"shows a model only a part of their history."
        )


def _repeats(facts: CardFacts, _: pd.DataFrame) -> Iterator[str]:
    if facts.repeats is None:
        return
    ever, ten = facts.repeats.ever, facts.repeats.within["10"]
    if ten >= 0.1:
        yield (
            f"{percent(ten)} of transitions lead back to an item of the user's last ten events "
            f"({percent(ever)} to one that the user ever had): recency is a strong floor."
        )
    elif ever >= 0.3:
        yield (
            f"{percent(ever)} of transitions lead back to an item that the user had, but only "
            f"{percent(ten)} to one of the last ten events: what repeats is told by a long memory."
        )
    elif ever < 0.001:
        yield (
            "Users take up hardly any item twice: recency scores nothing, and a model that has "
            "learned to leave out what the user had gains by that alone."
        )


def _evaluation(facts: CardFacts, _: pd.DataFrame) -> Iterator[str]:
    if facts.settings["split"] != "time":
        yield (
            f"The split is '{facts.settings['split']}', for comparison with the literature: train "
            f"holds events later than some targets, so results are better than a forecast's."
        )
    held = facts.counts.by_split.get("context", 0)
    if held:
        yield (
            f"{count(held)} events before the cut belong to users left out of training "
            f"(train_users = {facts.settings['train_users']:g}): they are history only."
        )
    for half, slices in facts.targets.items():
        small = [
            f"{words} ({count(slices[name].positions)} positions, {count(slices[name].users)} "
            f"users)"
            for name, words in SLICES.items()
            if slices[name].positions < MIN_POSITIONS or slices[name].users < MIN_USERS
        ]
        if small:
            yield (
                f"In {half}, too small to be fitted (under {MIN_POSITIONS} positions or "
                f"{MIN_USERS} users): {join(small)}."
            )
    few = {half: slices["all"].users for half, slices in facts.targets.items()}
    if min(few.values()) < FEW_USERS:
        words = join([f"{count(users)} in {half}" for half, users in few.items()])
        yield f"Few users have targets, {words}: intervals over users are wide."
    if (cold := _shares(facts, "cold_item", 0.05)) is not None:
        yield (
            f"Cold items, without a train event, are {cold}: only features can rank them; read "
            f"them apart."
        )
    if (unseen := _shares(facts, "unseen_user", 0.5)) is not None:
        yield (
            f"Users without train events have {unseen}: results say how models meet new users, "
            f"less how they know old ones."
        )


def _shares(facts: CardFacts, name: str, least: float) -> str | None:
    """'39% of validation and 37% of test targets', or None where both shares are below `least`."""
    shares = {
        half: slices[name].positions / slices["all"].positions
        for half, slices in facts.targets.items()
        if slices["all"].positions
    }
    if max(shares.values(), default=0.0) < least:
        return None
    return join([f"{percent(share)} of {half}" for half, share in shares.items()]) + " targets"


def _items(facts: CardFacts, _: pd.DataFrame) -> Iterator[str]:
    if set(facts.features.missing) <= {"item_id"} and not facts.features.vectors:
        yield "Items have no feature but their id: a cold item looks like any other."
    gaps = {**facts.features.missing, **facts.features.event_missing}
    empty = [f"{name} ({percent(share)})" for name, share in gaps.items() if share >= 0.2]
    if empty:
        yield f"Often without a value: {join(empty)}."
    if facts.features.cut_items >= 0.05 * facts.counts.items:
        yield (
            f"{count(facts.features.cut_items)} items have more than T = "
            f"{facts.settings['tokens']} feature tokens, and lose the rest."
        )
    if facts.popularity.top_share >= 0.3:
        yield (
            f"The most frequent 1% of items make {percent(facts.popularity.top_share)} of train "
            f"events: read rare items apart."
        )


def _amount(facts: CardFacts, _: pd.DataFrame) -> Iterator[str]:
    unique = facts.counts.unique_positions
    yield (
        f"One epoch is U = {count(unique)} positions: a run of D above "
        f"{count(MANY_EPOCHS * unique)} sees its events more than "
        f"{MANY_EPOCHS} times, and optima beside it are data-limited."
    )
    if facts.counts.items <= SMALL_CATALOGUE:
        yield f"The catalogue has {count(facts.counts.items)} items: the full softmax is cheap."


def _floors(facts: CardFacts, floors: pd.DataFrame) -> Iterator[str]:
    whole = floors[(floors["split"] == "validation") & (floors["slice"] == "all")]
    losses = dict(zip(whole["floor"], whole["cross_entropy"], strict=True))
    if not losses:
        return
    drift = losses["unigram"] - facts.unigram_entropy
    if drift >= 0.3:
        yield (
            f"Train popularity costs {number(drift)} nats more on validation than on train: what "
            f"is popular changes, or many targets are cold."
        )
    yield (
        f"The last item tells {number(losses['unigram'] - losses['markov'])} nats of the next on "
        f"validation: a model above the Markov floor of {losses['markov']:.2f} nats has learned "
        f"less than bigrams."
    )
