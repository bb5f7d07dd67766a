"""The fused halves of a block against plain torch, by value and by numerical gradient."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from behavior_scaling.model.fused import EPSILON, add_linear, add_mlp, norm_linear, rms_norm

GENERATOR = torch.Generator().manual_seed(7)


def _draw(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=GENERATOR, dtype=torch.float64).requires_grad_()


X, QKV, OUT, UP, DOWN = _draw(2, 5, 6), _draw(12, 6), _draw(6, 4), _draw(24, 6), _draw(6, 24)
MIXED = _draw(2, 5, 4)
TURN = torch.polar(torch.ones(5, 6, dtype=torch.float64), torch.arange(30.0).view(5, 6).double())


def _plain_norm(x: Tensor) -> Tensor:
    return functional.rms_norm(x, (x.shape[-1],), eps=EPSILON)


def _plain_turn(x: Tensor) -> Tensor:
    """Each neighbouring pair (a, b) by an angle: (a cos - b sin, a sin + b cos)."""
    a, b = x[..., ::2], x[..., 1::2]
    cosine, sine = TURN.real, TURN.imag
    return torch.stack([a * cosine - b * sine, a * sine + b * cosine], -1).flatten(-2)


CASES: dict[str, tuple[Callable[..., Tensor], Callable[..., Tensor], tuple[Tensor, ...]]] = {
    "norm": (rms_norm, _plain_norm, (X,)),
    "norm and matrix": (norm_linear, lambda x, w: _plain_norm(x) @ w.t(), (X, QKV)),
    "norm, matrix, rotation": (
        lambda x, w: norm_linear(x, w, TURN),
        lambda x, w: _plain_turn(_plain_norm(x) @ w.t()),
        (X, QKV),
    ),
    "matrix and residual": (add_linear, lambda r, x, w: r + x @ w.t(), (X, MIXED, OUT)),
    "mlp": (
        add_mlp,
        lambda x, up, down: x + functional.gelu(_plain_norm(x) @ up.t()) @ down.t(),
        (X, UP, DOWN),
    ),
}
each_case = pytest.mark.parametrize("name", CASES)


@each_case
def test_values_are_those_of_plain_torch(name: str) -> None:
    """In float64, to rounding."""
    fused, plain, leaves = CASES[name]
    assert torch.allclose(fused(*leaves), plain(*leaves), rtol=0, atol=1e-13)


@each_case
def test_gradients_by_finite_differences(name: str) -> None:
    """Every argument's gradient."""
    fused, _, leaves = CASES[name]
    assert torch.autograd.gradcheck(fused, leaves)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if len(case[2]) > 1])
def test_a_frozen_input_leaves_the_other_gradients(name: str) -> None:
    """Where the first argument takes no gradient, the others are what they were."""
    fused, _, leaves = CASES[name]
    first, *others = leaves
    both = torch.autograd.grad(fused(first, *others).square().sum(), others)
    frozen = torch.autograd.grad(fused(first.detach(), *others).square().sum(), others)
    for one, other in zip(frozen, both, strict=True):
        assert torch.equal(one, other)


@each_case
def test_bf16_autocast_keeps_the_residual_in_float32(name: str) -> None:
    """Products in bf16 (3 digits), gradients in the parameters' type, the rest in float32."""
    fused, plain, leaves = CASES[name]
    single = tuple(x.detach().float().requires_grad_() for x in leaves)
    with torch.autocast("cpu", torch.bfloat16):
        out = fused(*single)
    expected = plain(*leaves)
    assert float((out - expected).detach().norm()) < 0.01 * float(expected.detach().norm())
    if name in ("norm", "matrix and residual", "mlp"):
        assert out.dtype == torch.float32
    some = torch.linspace(-1, 1, out.numel()).view(out.shape)
    found = torch.autograd.grad((out * some).sum(), single)
    wanted = torch.autograd.grad((expected * some).sum(), leaves)
    for one, other in zip(found, wanted, strict=True):
        assert one.dtype == torch.float32
        assert float((one - other).norm()) < 0.03 * float(other.norm())


def test_an_overflow_is_not_normed_away() -> None:
    """1e30 squared is infinite: a run that blew up must end as diverged, not with zero scores."""
    x = torch.ones(2, 4)
    x[1] = 1e30
    normed = rms_norm(x)
    assert torch.allclose(normed[0], torch.ones(4))
    assert normed[1].isnan().all()
