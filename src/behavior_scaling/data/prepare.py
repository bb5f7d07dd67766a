"""Preparation: from a source's raw file to the memory-mapped data set.

Choices: everything that is counted, binned or smoothed reads events before t1 only; users and
catalogue are sorted by id, so that the arrays follow from the canonical tables alone; the
folder appears whole or not at all (store.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from behavior_scaling.config_parts import DataConfig
from behavior_scaling.data import sources
from behavior_scaling.data.events import Tables, check_tables, identity
from behavior_scaling.data.features import feature_tokens
from behavior_scaling.data.item_columns import ItemColumns, item_columns
from behavior_scaling.data.split import cut_time, in_test_half, split_codes
from behavior_scaling.data.store import (
    TRAIN,
    Arrays,
    Dataset,
    Meta,
    eligible_targets,
    write_dataset,
)
from behavior_scaling.records.spec import DataSpec


def prepare(config: DataConfig, raw: Path, out: Path) -> Dataset:
    """Prepare a registered source.

    Args:
        config: which source, and how it becomes sequences and tokens.
        raw: what the source's fetch has returned.
        out: folder to write; an earlier preparation there is replaced.

    Raises:
        DataError: unknown source, unusable tables, or the folder cannot be written.
    """
    return prepare_tables(sources.get(config.source).load(raw), config, out)


def prepare_tables(tables: Tables, config: DataConfig, out: Path) -> Dataset:
    """Prepare tables that are at hand; config.source is their name.

    Raises:
        DataError: unusable tables, or the folder cannot be written.
    """
    tables = check_tables(tables, config.source)
    arrays, columns, facts = _arrays(tables, config)
    meta = Meta(
        spec=DataSpec(
            source=config.source,
            identity=identity(tables),
            context=config.context,
            tokens=config.tokens,
            codebook=config.codebook,
            numeric_bins=config.numeric_bins,
            train_fraction=config.train_fraction,
            session_gap=config.session_gap,
        ),
        n_events=len(arrays.items),
        n_users=len(arrays.user_in_train),
        n_items=len(arrays.train_counts),
        n_train=int(arrays.train_counts.sum()),
        unigram_entropy=entropy(arrays.train_counts),
        eval_positions={
            "validation": len(eligible_targets(arrays.split, arrays.offsets, "validation")),
            "test": len(eligible_targets(arrays.split, arrays.offsets, "test")),
        },
        **facts,
    )
    return write_dataset(out, arrays, columns, meta)


def entropy(counts: NDArray[np.int64]) -> float:
    """Entropy of the frequencies that the counts state, in nats."""
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())


def _arrays(tables: Tables, config: DataConfig) -> tuple[Arrays, ItemColumns, dict[str, Any]]:
    """The arrays, the items' columns, and what only their making knows: t1, U, the vocabulary."""
    user, user_ids = pd.factorize(tables.events["user_id"], sort=True)
    item = pd.Index(tables.items["item_id"]).get_indexer(pd.Index(tables.events["item_id"]))
    times = tables.events["timestamp"].to_numpy()
    order = np.lexsort((times, user))  # stable: equal times keep their line order
    user, item, times = user[order], item[order], times[order]

    t1 = cut_time(times, config.train_fraction)
    split = split_codes(times, user, t1, in_test_half(user_ids))
    trained = split == TRAIN
    counts = np.bincount(item[trained], minlength=len(tables.items))
    train_events = np.bincount(user[trained], minlength=len(user_ids))
    tokens = feature_tokens(
        tables.items,
        tables.schema,
        counts > 0,
        tokens=config.tokens,
        codebook=config.codebook,
        bins=config.numeric_bins,
    )
    arrays = Arrays(
        items=item.astype(np.int32),
        times=times,
        sessions=_sessions(tables.events, order, user, times, config.session_gap),
        split=split,
        offsets=np.searchsorted(user, np.arange(len(user_ids) + 1)),
        codes=tokens.codes,
        weights=tokens.weights,
        train_counts=counts,
        user_in_train=train_events > 0,
        item_ids=_id_array(tables.items["item_id"]),
    )
    facts = {
        "t1": t1,
        "unique_positions": int(np.maximum(train_events - 1, 0).sum()),
        "vocabulary": tokens.vocabulary,
    }
    columns = item_columns(tables.items, tables.schema, counts > 0, tokens, config.codebook)
    return arrays, columns, facts


def _sessions(
    events: pd.DataFrame,
    order: NDArray[np.int64],
    user: NDArray[np.int64],
    times: NDArray[np.int64],
    gap: int,
) -> NDArray[np.int32]:
    """Number the sessions in order: a new user, a new session_id or, without one, a silence."""
    starts = np.ones(len(order), dtype=bool)
    starts[1:] = user[1:] != user[:-1]
    if "session_id" in events:
        session, _ = pd.factorize(events["session_id"])
        starts[1:] |= session[order][1:] != session[order][:-1]
    else:
        starts[1:] |= np.diff(times) > gap
    return (np.cumsum(starts) - 1).astype(np.int32)


def _id_array(ids: pd.Series[Any]) -> NDArray[Any]:
    return ids.to_numpy() if pd.api.types.is_integer_dtype(ids) else ids.to_numpy().astype("U")
