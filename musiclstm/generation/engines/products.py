"""Products with a fixed matrix: in float32, or in int8 where this CPU and this torch can."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

from musiclstm.generation.engines.int8_kernels import KERNELS, SMALLEST, Kernel


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

    The scale of x follows from its bound. Without one each row of x has its own, which takes five more calls. One that
    followed from the largest value in the batch would make a row's result depend on the rows beside it.
    """

    bias: Tensor | None

    def __init__(self, weight: Tensor, bias: Tensor | None, bound: float | None) -> None:
        super().__init__(weight, bias, bound)
        self.bounded = bound is not None
        self.multiply = kernel()(weight, bias if self.bounded else None)
        self.register_buffer("bias", bias)
        self.zero = levels() + 1
        self.scale = (1.0 if bound is None else bound) / levels()

    def forward(self, x: Tensor, added: Tensor | None = None) -> Tensor:
        if self.bounded:
            product: Tensor = self.multiply(x, self.scale, self.zero)
        else:
            largest = x.abs().amax(dim=1, keepdim=True).clamp_min_(SMALLEST)  # (B, 1)
            product = self.multiply(x / largest, self.scale, self.zero).mul_(largest)
            if self.bias is not None:
                product.add_(self.bias)
        return product if added is None else product.add_(added)


def int8_missing() -> str | None:
    """Why there are no products in int8 here, in a few words; None where there are."""
    try:
        levels()
    except RuntimeError as error:
        return str(error)
    return None


@cache
def kernel() -> type[Kernel]:
    """The first of `KERNELS` that works here; RuntimeError where none does."""
    reasons = []
    for candidate in KERNELS:
        try:
            _sum_of_ones(candidate)
        except (AttributeError, RuntimeError, NotImplementedError) as error:
            reasons.append(str(error).partition("\n")[0][:120] or type(error).__name__)
        else:
            return candidate
    raise RuntimeError(f"no int8 kernels: {'; '.join(reasons)}")


@cache
def levels() -> int:
    """How many steps to either side of zero x is given: 127, or 63 where products of more overflow.

    CPUs without VNNI add two products of 8 bits each in 16.
    """
    return 127 if abs(_sum_of_ones(kernel()) - 64) < 0.5 else 63


def _sum_of_ones(kernel: type[Kernel]) -> float:
    """What 64 times 1 times 1 comes to at the largest number of levels."""
    return float(kernel(torch.ones(1, 64), None)(torch.ones(1, 64), 1 / 127, 128))
