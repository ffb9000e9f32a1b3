"""Products with a fixed matrix: in float32, or in int8 where this CPU and this torch can."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from musiclstm.generation.engines.int8_kernels import SMALLEST, Kernel, exact, kernels, levels


class Product(nn.Module):
    """x W^T + bias, with a weight W (N, K) and a bias (N,) that stay.

    bound: no |x| is ever larger; None where that is not known.
    """

    tables: ClassVar[torch.dtype] = torch.float32
    """How exact tables of sums need be that go with such products."""

    def __init__(self, weight: Tensor, bias: Tensor | None, bound: float | None) -> None:
        super().__init__()
        self.columns = weight.shape[1]

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

    tables = torch.float16
    bias: Tensor | None

    def __init__(self, weight: Tensor, bias: Tensor | None, bound: float | None) -> None:
        super().__init__(weight, bias, bound)
        self.bounded = bound is not None
        scale = (1.0 if bound is None else bound) / levels()
        self.multiply = self.kernel(weight)(weight, scale, levels() + 1)
        self.register_buffer("bias", bias)

    def kernel(self, weight: Tensor) -> type[Kernel]:
        return kernels()[0]

    def forward(self, x: Tensor, added: Tensor | None = None) -> Tensor:
        if self.bounded:
            product: Tensor = self.multiply(x)
        else:
            largest = x.abs().amax(dim=1, keepdim=True).clamp_min_(SMALLEST)  # (B, 1)
            product = self.multiply(x / largest).mul_(largest)
        added = self.bias if added is None else added
        return product if added is None else product.add_(added)


class Int8BatchProduct(Int8Product):
    """The same, bit for bit, by the kernel for many rows."""

    def kernel(self, weight: Tensor) -> type[Kernel]:
        few, many = kernels()
        return many if many is not None and exact(weight) else few


def int8_missing() -> str | None:
    """Why there are no products in int8 here, in a few words; None where there are."""
    try:
        levels()
    except RuntimeError as error:
        return str(error)
    return None
