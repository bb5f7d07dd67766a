"""The rows of a plan as plain values: what the CSV holds, and what the figure draws."""

from __future__ import annotations

from typing import Any

from behavior_scaling.sweep.study_plan import PlannedRun


def row(run: PlannedRun) -> dict[str, Any]:
    """One run, by column; bytes, hours and FLOPs of the whole run."""
    cell, choice, seconds = run.cell, run.choice, run.seconds
    execution, step = choice.execution, choice.memory.training
    return {
        "axis": cell.axis,
        "arm": cell.arm,
        "cell": cell.label,
        "control": cell.control,
        "stage": cell.stage,
        "budget": cell.budget,
        "seed": cell.seed,
        "n_total": cell.n_total,
        "n_emb": cell.n_emb,
        "share": cell.n_emb / cell.n_total,
        "d_model": cell.contextualizer.width,
        "layers": cell.contextualizer.layers,
        "embedder_width": cell.embedder.width,
        "embedder_depth": cell.embedder.depth,
        "batch": cell.batch,
        "in_batch": cell.objective.in_batch,
        "uniform": cell.objective.uniform,
        "steps": run.steps,
        "positions": cell.positions,
        "d_over_n": cell.positions / cell.n_total,
        "epochs": run.epochs,
        "data_limited": run.data_limited,
        "flops": run.flops.total,
        "flops_embedder": run.flops.embedder,
        "flops_contextualizer": run.flops.contextualizer,
        "flops_attention": run.flops.attention,
        "flops_logits": run.flops.logits,
        "memory_bytes": choice.memory.total,
        "memory_weights": step.weights - run.optimizer_bytes,  # and their gradients
        "memory_optimizer": run.optimizer_bytes,
        "memory_catalogue": step.items,
        "memory_activations": step.activations,
        "memory_candidates": step.candidates,
        "memory_working": choice.memory.working,
        "memory_evaluation": choice.memory.evaluation.total,  # instead of all these
        "memory_alone": choice.alone.total,
        "logits_bytes": run.logits_bytes,
        "strategy": execution.strategy,
        "devices": execution.devices,
        "accumulate": execution.accumulate,
        "shard_candidates": execution.shard_candidates,
        "reason": choice.reason,
        "why": run.why,
        "hours_train": seconds.train / 3600,
        "hours_probes": seconds.probes / 3600,
        "hours_evaluate": seconds.evaluate / 3600,
        "hours": seconds.total / 3600,
        "gpu_hours": run.gpu_hours,
        "checkpoint_bytes": run.checkpoint_bytes,
        "record_bytes": run.record_bytes,
    }
