"""The libraries in torch that multiply in int8, each behind the same face, and which of them serve here."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn

ALIGNED = 64  # a multiple of what torch and FBGEMM take at once of a row, which what is left over may round otherwise
FBGEMM = ("x86", "fbgemm")  # the names by which torch packs for it
SMALLEST = 1e-12  # what a scale is at least: rows of zeros have one, too


class Kernel(nn.Module):
    """x W^T, W (N, K) in int8 with a scale for each row, x (B, K) in 8 bits with one scale.

    scale: of x. zero: what stands for 0 among 0 ... 255; no |x| is more than `scale` times `zero` - 1.

    RuntimeError, AttributeError or NotImplementedError, when made or called, where torch or this machine has no such
    kernel.
    """

    def __init__(self, weight: Tensor, scale: float, zero: int) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        """Float32 (B, N)."""
        raise NotImplementedError


def quantised(weight: Tensor) -> tuple[Tensor, Tensor]:
    """A weight as int8 (N, K), and the scales of its rows, float64 (N,)."""
    scale = weight.abs().amax(dim=1).double().clamp_min_(SMALLEST) / 127
    return (weight / scale.float()[:, None]).round_().to(torch.int8), scale


class Fbgemm(Kernel):
    """FBGEMM's, the quicker with few rows. torch means to drop the tensors in which it takes its weights."""

    def __init__(self, weight: Tensor, scale: float, zero: int) -> None:
        super().__init__(weight, scale, zero)
        self.scale, self.zero = scale, zero
        whole, scales = quantised(weight)
        zeros = torch.zeros(len(scales), dtype=torch.int64)
        with _fbgemm(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "torch.quantize_per_tensor, torch.quantize_per_channel", UserWarning)
            tensor = torch._make_per_channel_quantized_tensor(whole, scales, zeros, 0)
            self.packed = torch.ops.quantized.linear_prepack(tensor, None)

    def forward(self, x: Tensor) -> Tensor:
        # Its dynamic sibling takes the scale from the largest value in the batch; it is also slower.
        multiply = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32.default
        product: Tensor = multiply(x, self.scale, self.zero, self.packed)
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


class OneDnn(Kernel):
    """oneDNN's, the quicker with many rows where there is AMX, else about as quick."""

    offset: Tensor
    scales: Tensor

    def __init__(self, weight: Tensor, scale: float, zero: int) -> None:
        super().__init__(weight, scale, zero)
        whole, scales = quantised(weight)
        # As FBGEMM has them, in float32.
        self.inverse, self.zero = float(np.float32(1) / np.float32(scale)), zero
        # Buffers, as what it packs cannot be a constant of a traced program.
        self.register_buffer("packed", torch.ops.onednn.qlinear_prepack.default(whole, None))
        self.register_buffer("scales", scales.float() * torch.tensor(scale, dtype=torch.float32))
        self.register_buffer("offset", torch.tensor(float(zero)))
        self.register_buffer("ones", torch.ones(len(whole)))
        self.register_buffer("zeros", torch.zeros(len(whole), dtype=torch.int32))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.add(self.offset, x, alpha=self.inverse).round_().to(torch.uint8)
        # It is asked for sums alone, as it scales a row in other steps, and rounds it, than several.
        return _onednn()(x, self.zero, self.packed, self.ones, self.zeros).mul_(self.scales)


@cache
def _onednn() -> Callable[..., Tensor]:
    """The operator, by a function that can be traced: a list of what may be numbers cannot."""
    unit = torch.jit.CompilationUnit(
        """
        def multiply(x: Tensor, zero: int, weight: Tensor, ones: Tensor, zeros: Tensor) -> Tensor:
            return torch.ops.onednn.qlinear_pointwise(
                x, 1.0, zero, weight, ones, zeros, None, 1.0, 0, torch.float32, "none", [], "")
        """
    )
    multiply: Callable[..., Tensor] = unit.multiply
    return multiply


KERNELS: tuple[type[Kernel], ...] = (Fbgemm, OneDnn)
"""The quicker with few rows first."""


@cache
def kernels() -> tuple[type[Kernel], type[Kernel] | None]:
    """The kernel of this machine, and one for many rows, where there is one that gives the same bits.

    RuntimeError where none works.
    """
    working, reasons = [], []
    for kernel in KERNELS:
        try:
            same = _same(kernel, kernel)
        except (AttributeError, RuntimeError, NotImplementedError) as error:
            reasons.append(str(error).partition("\n")[0][:120] or type(error).__name__)
        else:
            working += [kernel] if same else []
            reasons += [] if same else [f"{kernel.__name__} gives a row other results beside others"]
    if not working:
        raise RuntimeError(f"no int8 kernels: {'; '.join(reasons)}")
    first, *others = working
    return first, next((kernel for kernel in others if _same(first, kernel)), None)


@cache
def levels() -> int:
    """How many steps to either side of zero x is given: 127, or 63 where products of more overflow.

    CPUs without VNNI add two products of 8 bits each in 16.
    """
    return _levels(kernels()[0])


def _levels(kernel: type[Kernel]) -> int:
    ones = torch.ones(64, 64)
    sums = kernel(ones, 1 / 127, 128)(ones[:16])
    return 127 if float((sums - 64).abs().max()) < 0.5 else 63


def exact(weight: Tensor) -> bool:
    """Whether no sum of products with a weight (N, K) can be too large for a float32 to have it exactly: larger ones
    oneDNN was seen to round in other ways than FBGEMM."""
    whole, _ = quantised(weight)
    return 255 * int(whole.int().abs().sum(1).max()) < 1 << 24


def _same(one: type[Kernel], other: type[Kernel]) -> bool:
    """Whether both give the same, bit for bit, however many rows are together, on numbers of which each second is
    half-way between two steps."""
    made = torch.Generator().manual_seed(0)
    steps = _levels(one)
    size = 4 * ALIGNED
    weight = torch.randn(96, size, generator=made)
    for bound in (1.0, 3.0):
        scale = bound / steps
        x = (torch.rand(40, size, generator=made) * 2 - 1) * bound
        x[:, ::2] = (torch.randint(-steps, steps, (40, size // 2), generator=made) + 0.5) * scale
        first, second = (kernel(weight, scale, steps + 1) for kernel in (one, other))
        if not all(torch.equal(first(x)[:rows], second(x[:rows])) for rows in (1, 3, 40)):
            return False
    return True
