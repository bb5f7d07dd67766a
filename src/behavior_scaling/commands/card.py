"""The step that writes a prepared data set's card."""

from __future__ import annotations

import sys
from argparse import Namespace

from behavior_scaling.config import load_study
from behavior_scaling.config_parts import DataConfig
from behavior_scaling.data import sources


def card(args: Namespace) -> int:
    """Data card: Markdown, figure and the numbers behind it."""
    from behavior_scaling.data.card import card_facts
    from behavior_scaling.data.store import Dataset
    from behavior_scaling.report.card import make_card
    from behavior_scaling.report.card_words import read_floors

    dataset = Dataset.open(args.data)
    floors = read_floors(args.floors)
    info = None
    if args.config is not None:
        info = sources.get(load_study(args.config).data).info
    elif dataset.meta.spec.source in sources.names():
        info = sources.get(DataConfig(source=dataset.meta.spec.source)).info
    for path in make_card(card_facts(dataset), floors, info, args.out):
        print(path, file=sys.stderr)
    return 0
