"""The halves of a pre-norm block as single operations with a backward of their own.

Choices: at laptop widths a step is dozens of products of some ten microseconds each, and what
surrounds them (a dozen small operations a norm, one autograd node each) costs more than they do;
so norm and matrix, and a whole MLP with its norm and residual, are one autograd node each, with
the gradient written out. The gradient of a matrix is formed with its narrower factor first, which
takes half the time at small widths. Nothing is approximated. Under autocast the products
run in its type; norms and the residual stay in float32.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

EPSILON = 1e-6
Grads = tuple[Tensor | None, ...]


def rms_norm(x: Tensor) -> Tensor:
    """x [..., d] over its root mean square along the last dimension."""
    out: Tensor = _RmsNorm.apply(x)  # type: ignore[no-untyped-call]
    return out


def norm_linear(x: Tensor, weight: Tensor, turn: Tensor | None = None) -> Tensor:
    """rms_norm(x) @ weight.T, neighbouring pairs of outputs then rotated.

    Args:
        x: [..., d].
        weight: [m, d].
        turn: complex64 [L, m / 2], rotations by position where x is [B, L, d]; or None.

    Returns:
        [..., m].
    """
    out: Tensor = _NormLinear.apply(x, weight, turn)  # type: ignore[no-untyped-call]
    return out


def add_linear(residual: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """residual [..., d] + x [..., m] @ weight.T, weight [d, m]."""
    out: Tensor = _AddLinear.apply(residual, x, weight)  # type: ignore[no-untyped-call]
    return out


def add_mlp(x: Tensor, up: Tensor, down: Tensor) -> Tensor:
    """x + gelu(rms_norm(x) @ up.T) @ down.T, with x [..., d], up [m, d], down [d, m]."""
    out: Tensor = _AddMlp.apply(x, up, down)  # type: ignore[no-untyped-call]
    return out


class _RmsNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        normed, scale = _normed(_rows(x))
        ctx.save_for_backward(normed, scale)
        return normed.view(x.shape)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> Grads:
        normed, scale = ctx.saved_tensors
        grad = grad_outputs[0]
        return (_through_norm(_rows(grad), normed, scale).view(grad.shape),)


class _NormLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, turn: Tensor | None) -> Tensor:
        kind = product_type(x)
        with _no_autocast(x):
            normed, scale = _normed(_rows(x))
            narrow = normed.to(kind)
            out = (narrow @ weight.to(kind).t()).view(*x.shape[:-1], -1)
            if turn is not None:
                out = _rotated(out, turn)
            ctx.save_for_backward(normed, narrow, scale, weight, turn)
            return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> Grads:
        normed, narrow, scale, weight, turn = ctx.saved_tensors
        grad = grad_outputs[0]
        if turn is not None:
            grad = _rotated(grad, turn.conj())
        shape = (*grad.shape[:-1], normed.shape[1])
        grad = _rows(grad).to(narrow.dtype)
        grad_weight = _weight_gradient(grad, narrow).to(weight.dtype)
        if not ctx.needs_input_grad[0]:
            return None, grad_weight, None
        pushed = (grad @ weight.to(grad.dtype)).to(normed.dtype)
        return _through_norm(pushed, normed, scale).view(shape), grad_weight, None


class _AddLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, residual: Tensor, x: Tensor, weight: Tensor) -> Tensor:
        kind = product_type(residual)
        with _no_autocast(residual):
            narrow = _rows(x).to(kind)
            ctx.save_for_backward(narrow, weight)
            ctx.kind, ctx.shape = x.dtype, x.shape
            return _plus_product(_rows(residual), narrow, weight).view(residual.shape)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> Grads:
        narrow, weight = ctx.saved_tensors
        grad = _rows(grad_outputs[0]).to(narrow.dtype)
        grad_x = (grad @ weight.to(grad.dtype)).to(ctx.kind).view(ctx.shape)
        return grad_outputs[0], grad_x, _weight_gradient(grad, narrow).to(weight.dtype)


class _AddMlp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, up: Tensor, down: Tensor) -> Tensor:
        kind = product_type(x)
        with _no_autocast(x):
            rows = _rows(x)
            normed, scale = _normed(rows)
            narrow = normed.to(kind)
            hidden = narrow @ up.to(kind).t()  # [n, m]
            active = functional.gelu(hidden)
            ctx.save_for_backward(normed, narrow, scale, hidden, active, up, down)
            return _plus_product(rows, active, down).view(x.shape)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> Grads:
        normed, narrow, scale, hidden, active, up, down = ctx.saved_tensors
        rows = _rows(grad_outputs[0])
        grad = rows.to(hidden.dtype)
        grad_down = _weight_gradient(grad, active).to(down.dtype)
        grad_active = grad @ down.to(grad.dtype)
        grad_hidden = torch.ops.aten.gelu_backward(grad_active, hidden)
        grad_up = _weight_gradient(grad_hidden, narrow).to(up.dtype)
        if not ctx.needs_input_grad[0]:
            return None, grad_up, grad_down
        pushed = (grad_hidden @ up.to(grad.dtype)).to(normed.dtype)
        grad_x = _through_norm(pushed, normed, scale).add_(rows)
        return grad_x.view(grad_outputs[0].shape), grad_up, grad_down


def product_type(x: Tensor) -> torch.dtype:
    """The type that matrix products run in: autocast's, or that of `x`."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


def _no_autocast(x: Tensor) -> AbstractContextManager[Any]:
    """Types are chosen by hand in here; entering a context costs more than some products."""
    device = x.device.type
    if torch.is_autocast_enabled(device):
        return torch.autocast(device, enabled=False)
    return nullcontext()


def _rows(x: Tensor) -> Tensor:
    return x.reshape(-1, x.shape[-1])


def _normed(x: Tensor) -> tuple[Tensor, Tensor]:
    """x [n, d] over its RMS, and 1 / RMS [n, 1]."""
    norm = torch.linalg.vector_norm(x, dim=1, keepdim=True)
    mean = norm.mul_(norm).mul_(1 / x.shape[1]).add_(EPSILON)
    # 0 x mean: a square that overflows is NaN in the result, not a silent zero.
    scale = torch.add(mean.rsqrt(), mean, alpha=0)
    return x * scale, scale


def _through_norm(grad: Tensor, normed: Tensor, scale: Tensor) -> Tensor:
    """Gradient of x from that of x over its RMS, all [n, d].

    The Jacobian is (I - n n^T / d) / RMS with n = x / RMS, exactly so with epsilon in the root.
    """
    along = (grad * normed).sum(1, keepdim=True)
    return torch.addcmul(grad, normed, along, value=-1 / grad.shape[1]).mul_(scale)


def _plus_product(residual: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """residual [n, d] + x [n, m] @ weight.T in the residual's type."""
    if x.dtype == residual.dtype == weight.dtype:
        return torch.addmm(residual, x, weight.t())
    return residual + x @ weight.to(x.dtype).t()


def _weight_gradient(grad: Tensor, x: Tensor) -> Tensor:
    """grad.T @ x, [m, d] from grad [n, m] and x [n, d]."""
    return grad.t() @ x if grad.shape[1] <= x.shape[1] else (x.t() @ grad).t()


def _rotated(x: Tensor, turn: Tensor) -> Tensor:
    """x [B, L, m] times rotations [L, m / 2] of its neighbouring pairs."""
    wide = x if x.dtype == torch.float64 else x.float()
    pairs = torch.view_as_complex(wide.reshape(*x.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * turn).view(x.shape).to(x.dtype)
