"""The libraries in torch that multiply in int8, each behind the same face."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import torch
from torch import Tensor, nn

FBGEMM = ("x86", "fbgemm")  # the names by which torch packs for it
SMALLEST = 1e-12  # what a scale is at least: rows of zeros have one, too


class Kernel(nn.Module):
    """x W^T + bias, W (N, K) in int8 with a scale for each row, x (B, K) in 8 bits with one scale.

    RuntimeError, AttributeError or NotImplementedError, when made or called, where torch or this machine has no such
    kernel.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()

    def forward(self, x: Tensor, scale: float, zero: int) -> Tensor:
        """Float32 (B, N). `zero` is what stands for 0 among 0 ... 255; no |x| is more than `scale` times `zero` - 1."""
        raise NotImplementedError


def quantised(weight: Tensor) -> tuple[Tensor, Tensor]:
    """A weight as int8 (N, K), and the scales of its rows, float64 (N,)."""
    scale = weight.abs().amax(dim=1).double().clamp_min_(SMALLEST) / 127
    return (weight / scale.float()[:, None]).round_().to(torch.int8), scale


class OneDnn(Kernel):
    """oneDNN's, through the operators that torch's compiler makes of quantised layers. Batches gain most, by AMX."""

    a_half: Tensor
    scale: Tensor
    bias: Tensor | None

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__(weight, bias)
        whole, scale = quantised(weight)
        # Buffers, as what it packs cannot be a constant of a traced program.
        self.register_buffer("packed", torch.ops.onednn.qlinear_prepack.default(whole, None))
        self.register_buffer("scale", scale.float())
        self.register_buffer("ones", torch.ones(len(whole)))
        self.register_buffer("zeros", torch.zeros(len(whole), dtype=torch.int32))
        self.register_buffer("a_half", torch.full((), 0.5))
        self.register_buffer("bias", bias)

    def forward(self, x: Tensor, scale: float, zero: int) -> Tensor:
        # Converted it is cut off, which after a half was added is rounded.
        x = torch.add(self.a_half + zero, x, alpha=1 / scale).to(torch.uint8)
        # It is asked for sums alone, as it scales a row in other steps, and rounds it, than several.
        product = _onednn()(x, zero, self.packed, self.ones, self.zeros).mul_(self.scale * scale)
        return product if self.bias is None else product.add_(self.bias)


@cache
def _onednn() -> Callable[..., Tensor]:
    """The operator, by a function that can be traced: a list of what may be numbers cannot."""
    torch.ops.onednn.qlinear_pointwise.default  # noqa: B018 (AttributeError where there is none)
    unit = torch.jit.CompilationUnit(
        """
        def multiply(x: Tensor, zero: int, weight: Tensor, ones: Tensor, zeros: Tensor) -> Tensor:
            return torch.ops.onednn.qlinear_pointwise(
                x, 1.0, zero, weight, ones, zeros, None, 1.0, 0, torch.float32, "none", [], "")
        """
    )
    multiply: Callable[..., Tensor] = unit.multiply
    return multiply


class Fbgemm(Kernel):
    """FBGEMM's. torch means to drop the tensors in which it takes its weights."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__(weight, bias)
        whole, scale = quantised(weight)
        zeros = torch.zeros(len(scale), dtype=torch.int64)
        with _fbgemm(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "torch.quantize_per_tensor, torch.quantize_per_channel", UserWarning)
            tensor = torch._make_per_channel_quantized_tensor(whole, scale, zeros, 0)
            self.packed = torch.ops.quantized.linear_prepack(tensor, bias)

    def forward(self, x: Tensor, scale: float, zero: int) -> Tensor:
        # Its dynamic sibling takes the scale from the largest value in the batch; it is also slower.
        multiply = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32.default
        product: Tensor = multiply(x, scale, zero, self.packed)
        return product


@contextmanager
def _fbgemm() -> Iterator[None]:
    """A block in which torch packs for the kernels that have the operator. What is packed knows whose it is."""
    before = torch.backends.quantized.engine
    here = [name for name in FBGEMM if name in torch.backends.quantized.supported_engines]
    if not here:
        raise RuntimeError(f"torch has no {' or '.join(FBGEMM)} kernels on this machine")
    torch.backends.quantized.engine = here[0]
    try:
        yield
    finally:
        torch.backends.quantized.engine = before


KERNELS: tuple[type[Kernel], ...] = (OneDnn, Fbgemm)
"""The faster first."""
