"""`status`: where a study stands, once or live; and the line that training prints after a run.

Choices: one look checks every hash of every record, `--watch` and `--line` none (survey.py), so
they stay quick over stores of any size; a live holder is known by a beat that changes between two
looks, whatever the clocks say; where standard output is no terminal, `--watch` prints its line
when it changes instead of drawing over what was printed.
"""

from __future__ import annotations

import json
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

from behavior_scaling.commands.status_words import Places, line, to_dict
from behavior_scaling.config import Study, load_study
from behavior_scaling.files import write_text
from behavior_scaling.layout import Layout
from behavior_scaling.records.archive import Archive
from behavior_scaling.records.lease import Holder, holders
from behavior_scaling.records.manifest import MANIFEST
from behavior_scaling.records.record import Outcome
from behavior_scaling.records.spec import DataSpec
from behavior_scaling.records.store import Store
from behavior_scaling.records.survey import Survey
from behavior_scaling.sweep.plan import Plan, make_plan
from behavior_scaling.sweep.progress import Asked, Progress, asked_runs, progress


class Look:
    """Where a study stands, asked again and again.

    Args:
        study: the study.
        plan: its plan.
        n_items: V.
        source: the store, or the archive of a shipped study.
        data: gives the prepared data; None while there are none.
        verify: check every hash of what is new since the last look.
        cores: to reckon the end with, instead of what is at work.
        clock: unix seconds.
    """

    def __init__(
        self,
        study: Study,
        plan: Plan,
        n_items: int,
        source: Store | Archive,
        data: Callable[[], DataSpec | None],
        *,
        verify: bool = False,
        cores: int | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._study = study
        self._plan = plan
        self._n_items = n_items
        self._store = source if isinstance(source, Store) else None
        self._data = data
        self._asked: list[Asked] | None = None  # once the data are known
        self._survey = Survey(source, verify)
        self._cores = cores
        self._clock = clock
        self._beats: dict[str, tuple[int, float]] = {}  # of a run's holder, and when it came

    def __call__(self) -> Progress:
        """One look."""
        # Leases first: a run that ends between the two is then done, not waiting.
        held = [self._heard(one) for one in holders(self._store.root)] if self._store else []
        asked = self._asked
        if asked is None:
            data = self._data()
            asked = asked_runs(self._study, self._plan, self._n_items, data)
            self._asked = asked if data else None
        found = self._survey.look(run.run_id for run in asked if run.run_id)
        return progress(self._study, self._plan, asked, found, held, self._cores)

    def _heard(self, holder: Holder) -> Holder:
        """With the age of its last beat by our own clock, once two looks have seen one come."""
        now = self._clock()
        beat, came = self._beats.get(holder.run_id, (holder.beat, now - holder.age_seconds))
        if beat != holder.beat:
            came = now
        self._beats[holder.run_id] = (holder.beat, came)
        return replace(holder, age_seconds=now - came)


def after_every_run(
    study: Study,
    plan: Plan,
    n_items: int,
    data: DataSpec,
    store: Store,
    log: Callable[[str], None],
) -> Callable[[str, Outcome], None]:
    """For `train_bundle(done=...)`: logs the study's line; records seen before are not read again.

    Args:
        study: the study.
        plan: its plan.
        n_items: V.
        data: its prepared data.
        store: its records.
        log: takes the line.
    """
    looks: list[Look] = []

    def done(run_id: str, outcome: Outcome) -> None:
        try:
            if not looks:  # a job that finds all its runs done asks nothing
                looks.append(Look(study, plan, n_items, store, lambda: data))
            log(line(looks[0]()))
        except (OSError, ValueError, KeyError, TypeError) as error:  # a word less, not a run less
            log(f"{study.name}: where the study stands could not be told: {error!r}")

    return done


def status(args: Namespace) -> int:
    """Show where a study stands; 0 when all its runs are done, else 1."""
    study = load_study(args.config)
    study = study.model_copy(update={"runs": args.runs or study.runs})
    place = Layout(args.results, study)
    shipped = study.runs == "archive"
    places = Places(args.config, args.results, place.archive if shipped else place.store)
    live = args.watch is not None
    look = _look(study, place, verify=not (live or args.line), cores=args.cores)
    if look is None:
        return 1
    with _shower(live, args.line, places) as show_page:

        def show(seen: Progress) -> None:
            show_page(seen)
            if args.json:
                write_text(args.json, json.dumps(to_dict(seen), indent=1) + "\n")

        try:
            seen = watch(look, show, time.sleep, args.watch if live else None)
        except KeyboardInterrupt:
            return 1
    if study.parts and not live:
        print(f"{study.name}: its parts are studies of their own: {', '.join(study.parts)}")
    return 0 if seen.counts["done"] == len(seen.runs) else 1


def watch(
    look: Callable[[], Progress],
    show: Callable[[Progress], None],
    sleep: Callable[[float], None],
    every: float | None,
) -> Progress:
    """Look and show every so many seconds until each run has an outcome; None: once."""
    while True:
        seen = look()
        show(seen)
        if every is None or not seen.to_come or seen.study.runs == "archive":
            return seen
        sleep(every)


def _look(study: Study, place: Layout, *, verify: bool, cores: int | None) -> Look | None:
    """None, with words, where nothing can be told yet."""
    from behavior_scaling.data.known import known_sizes
    from behavior_scaling.data.store import META, Dataset

    n_items = known_sizes(study.data, place.data, place.shipped).n_items
    if n_items is None:
        print(
            f"{study.name}: not begun; how many runs it has is known once its data are prepared, "
            f"which the first `snakemake --config study=...` does"
        )
        return None
    plan = make_plan(study, n_items)
    if study.runs == "archive":
        if not (place.archive / MANIFEST).is_file():
            print(f"{study.name}: its records are shipped, but {place.archive} holds none")
            return None
        archive = Archive(place.archive)
        return Look(study, plan, n_items, archive, lambda: archive.data, verify=verify, cores=cores)

    def data() -> DataSpec | None:
        prepared = (place.data / META).is_file()
        return Dataset.open(place.data).data_spec() if prepared else None

    return Look(study, plan, n_items, Store(place.store), data, verify=verify, cores=cores)


@contextmanager
def _shower(live: bool, short: bool, places: Places) -> Iterator[Callable[[Progress], None]]:
    """What shows a look: on a page that is drawn again, as a page, or as a line."""
    if short or (live and not sys.stdout.isatty()):
        yield _Lines()
        return
    from rich.console import Console
    from rich.live import Live

    from behavior_scaling.commands.status_view import page

    console = Console(highlight=False, markup=False)
    if not live:
        yield lambda seen: console.print(page(seen, places, datetime.now()))
        return
    with Live(console=console, auto_refresh=False) as screen:
        yield lambda seen: screen.update(page(seen, places, datetime.now()), refresh=True)


class _Lines:
    """Prints a study's line whenever it is another one."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, seen: Progress) -> None:
        text = line(seen)
        if text != self._last:
            print(text, flush=True)
            self._last = text
