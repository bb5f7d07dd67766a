"""RunSpec: everything that determines a run's numbers, and the id made from it.

Choices: a spec is resolved (no defaults, no rules left to apply), so its canonical JSON is its
identity; versions and machine are recorded with the result but are no part of the id; NUMERICS
is raised by hand when the code changes numbers, and a golden run fails if that was forgotten.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Any, Literal

from behavior_scaling.config_parts import DataConfig

NUMERICS = 3

# Keys that the first records did not have, and what they mean where they are absent.
YOUNGER: dict[str, dict[str, Any]] = {
    "contextualizer": {"temperature": 1.0},
    "data": {"eval_share": 1.0},
}
EMBEDDER_KINDS = ("transformer", "mlp", "tabtransformer", "table", "fixed")
ObjectiveKind = Literal["corrected", "as_paper", "full"]


@dataclass(frozen=True)
class DataSpec:
    """Which prepared data a run reads."""

    source: str
    identity: str  # SHA-256 of the canonical tables
    context: int  # L, events a window
    tokens: int  # T, feature tokens an item
    codebook: int
    numeric_bins: int
    subwords: int
    split: Literal["time", "leave_one_out", "last_n"]
    train_fraction: float
    last_n: int
    train_users: float
    session_gap: int
    eval_share: float = 1.0  # of users, whose late events are scored


def data_spec(config: DataConfig, identity: str) -> DataSpec:
    """The spec of data of a known identity, prepared as a study's settings say."""
    return DataSpec(
        source=config.name,
        identity=identity,
        context=config.context,
        tokens=config.tokens,
        codebook=config.codebook,
        numeric_bins=config.numeric_bins,
        subwords=config.subwords,
        split=config.split,
        train_fraction=config.train_fraction,
        last_n=config.last_n,
        train_users=config.train_users,
        session_gap=config.session_gap,
        eval_share=config.eval_share,
    )


@dataclass(frozen=True)
class EmbedderSpec:
    """Item to vector. depth 0: weighted mean of codes through one matrix; 'fixed': no parameter."""

    kind: str  # one of EMBEDDER_KINDS, or a user's 'module:Class@hash' (user_class.py)
    width: int  # e
    depth: int


@dataclass(frozen=True)
class ContextualizerSpec:
    """Past item vectors to a query vector."""

    kind: Literal["transformer"]
    width: int  # d
    layers: int
    heads: int
    event_features: tuple[str, ...] = ()  # of the past events, added to their items' vectors
    event_width: int = 0  # of the vectors of their levels; 0 where there are none
    temperature: float = 1.0  # of the scores, at the start


@dataclass(frozen=True)
class ObjectiveSpec:
    """Candidates a step and the loss over them."""

    kind: ObjectiveKind
    in_batch: int  # M
    uniform: int  # K
    same_sequence: Literal["past", "mask", "keep"]


@dataclass(frozen=True)
class OptimizerSpec:
    """AdamW with resolved numbers; warm-up and decay in shares of D."""

    lr: float
    warmup: float
    final: float
    weight_decay: float
    beta1: float
    beta2: float
    clip: float


@dataclass(frozen=True)
class RunSpec:
    """One sweep point, resolved."""

    stage: Literal[1, 2]
    budget: float  # nominal FLOPs
    positions: int  # D, loss positions, repeats included
    batch: int  # B, sequences a step
    seed: int
    data: DataSpec
    embedder: EmbedderSpec
    contextualizer: ContextualizerSpec
    objective: ObjectiveSpec
    optimizer: OptimizerSpec
    probes: int  # measurements on the way, from 5% of D to its end; 0 = none
    precision: Literal["fp32", "bf16-mixed"]
    threads: int
    parent: str | None  # id of the stage-1 run whose embedder stage 2 freezes
    numerics: int = NUMERICS

    @property
    def id(self) -> str:
        """SHA-256 of the canonical JSON, in hexadecimal."""
        return hashlib.sha256(canonical_json(self.to_dict()).encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """Nested plain dictionaries; younger keys only where they say something."""
        return said(dataclasses.asdict(self))

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> RunSpec:
        """Inverse of to_dict; a missing or unknown key raises TypeError."""
        parts: dict[str, Any] = {
            "data": DataSpec,
            "embedder": EmbedderSpec,
            "contextualizer": ContextualizerSpec,
            "objective": ObjectiveSpec,
            "optimizer": OptimizerSpec,
        }
        values = {
            key: parts[key](**_with_tuples(value)) if key in parts else value
            for key, value in raw.items()
        }
        return cls(**values)


def said(spec: dict[str, Any]) -> dict[str, Any]:
    """A spec's dictionary without younger keys at the value that they had before they existed."""
    parts = {
        part: {key: value for key, value in spec[part].items() if value != young.get(key, _NEVER)}
        for part, young in YOUNGER.items()
        if part in spec
    }
    return {**spec, **parts}


def _with_tuples(part: dict[str, Any]) -> dict[str, Any]:
    """JSON has lists where a spec has tuples."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in part.items()}


_NEVER = object()


def canonical_json(value: Any) -> str:
    """JSON with sorted keys, no spaces, no NaN: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
