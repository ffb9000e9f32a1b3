"""Products with a fixed matrix: in float32, or in int8 where this CPU and this torch can."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

ENGINES = ("x86", "fbgemm")  # torch's quantised kernels that have the operator used here
SMALLEST = 1e-12  # what a scale is at least: rows of zeros have one, too


class Product(nn.Module):
    """x W^T + bias, with a weight W (N, K) and a bias (N,) that stay.

    bound: no |x| is ever larger; None where that is not known.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, bound: float | None) -> None:
        super().__init__()

    def forward(self, x: Tensor, added: Tensor | None = None) -> Tensor:
        """x (B, K) -> a new tensor (B, N). `added` (B, N) takes the place of a bias."""
        raise NotImplementedError


class FloatProduct(Product):
    """In float32."""

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor | None, bound: float | None) -> None:
        super().__init__(weight, bias, bound)
        self.register_buffer("weight", weight.t())  # (K, N)
        self.register_buffer("bias", torch.zeros(()) if bias is None else bias)

    def forward(self, x: Tensor, added: Tensor | None = None) -> Tensor:
        return torch.addmm(self.bias if added is None else added, x, self.weight)


class Int8Product(Product):
    """With W in int8, a scale for each row of it, and x in 8 bits. The sums are exact, whatever B is.

    The scale of x follows from its bound. Without one each row of x has its own, which takes five more calls.

    torch's operator for this takes one scale for all of x. Its dynamic sibling would take that from the largest value
    in the batch, so that a row's result would depend on the rows beside it; it is also slower.
    """

    bias: Tensor | None

    def __init__(self, weight: Tensor, bias: Tensor | None, bound: float | None) -> None:
        super().__init__(weight, bias, bound)
        self.bounded = bound is not None
        self.packed = _pack(weight, bias if self.bounded else None)
        self.register_buffer("bias", bias)
        self.zero = levels() + 1
        self.scale = (1.0 if bound is None else bound) / levels()

    def forward(self, x: Tensor, added: Tensor | None = None) -> Tensor:
        operator = _operator()
        if self.bounded:
            product: Tensor = operator(x, self.scale, self.zero, self.packed)
        else:
            largest = x.abs().amax(dim=1, keepdim=True).clamp_min_(SMALLEST)  # (B, 1)
            product = operator(x / largest, self.scale, self.zero, self.packed).mul_(largest)
            if self.bias is not None:
                product.add_(self.bias)
        return product if added is None else product.add_(added)


def int8_missing() -> str | None:
    """Why there are no products in int8 here, in a few words; None where there are."""
    try:
        _operator()
        levels()
    except (AttributeError, RuntimeError, NotImplementedError) as error:
        return str(error).partition("\n")[0][:120] or type(error).__name__
    return None


@cache
def levels() -> int:
    """How many steps to either side of zero x is given: 127, or 63 where products of more overflow.

    CPUs without VNNI add two products of 8 bits each in 16.
    """
    weight = torch.ones(1, 64)
    result = _operator()(torch.ones(1, 64), 1 / 127, 128, _pack(weight))
    return 127 if abs(float(result) - 64) < 0.5 else 63


def _operator() -> Any:
    return torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32.default


def _pack(weight: Tensor, bias: Tensor | None = None) -> Any:
    """A weight (N, K) and a bias (N,) as the operator wants them."""
    scale = weight.abs().amax(dim=1).double().clamp_min_(SMALLEST) / 127  # (N,)
    whole = (weight / scale.float()[:, None]).round_().to(torch.int8)
    zero = torch.zeros(len(scale), dtype=torch.int64)
    with _engine(), warnings.catch_warnings():
        # torch means to drop the tensors in which the operator takes its weights. Where it has, there are no products
        # in int8, and steps are made in float32.
        warnings.filterwarnings("ignore", "torch.quantize_per_tensor, torch.quantize_per_channel", UserWarning)
        quantised = torch._make_per_channel_quantized_tensor(whole, scale, zero, 0)
        return torch.ops.quantized.linear_prepack(quantised, bias)


@contextmanager
def _engine() -> Iterator[None]:
    """A block in which torch packs for the kernels that have the operator. What is packed knows whose it is."""
    before = torch.backends.quantized.engine
    here = [name for name in ENGINES if name in torch.backends.quantized.supported_engines]
    if not here:
        raise RuntimeError(f"torch has no {' or '.join(ENGINES)} kernels on this machine")
    torch.backends.quantized.engine = here[0]
    try:
        yield
    finally:
        torch.backends.quantized.engine = before
