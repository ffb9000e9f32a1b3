from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from musiclstm.errors import UserError
from musiclstm.generation.engines import compare, graph, int8_kernels, make_engine, products
from musiclstm.generation.engines.graph import GraphEngine
from musiclstm.generation.engines.int8_kernels import Fbgemm, Kernel, OneDnn
from musiclstm.generation.engines.products import FloatProduct, Int8Product, int8_missing
from musiclstm.generation.engines.reference import ReferenceEngine
from tests.generation.engines.models import draw, eager, make_model, run
from tests.generation.models import make_generator

needs_int8 = pytest.mark.skipif(int8_missing() is not None, reason="no int8 products here")


class Missing(Kernel):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        product: torch.Tensor = torch.ops.quantized.no_such_operator.default(x)
        return product


@pytest.fixture
def choose(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Makes it that there are these kernels and no others; afterwards what was found out about them is forgotten."""

    def forget() -> None:
        int8_kernels.kernels.cache_clear()
        int8_kernels.levels.cache_clear()

    with monkeypatch.context() as patch:

        def chosen(*kernels: type[Kernel]) -> None:
            patch.setattr(int8_kernels, "KERNELS", kernels)
            forget()

        yield chosen
    forget()


@pytest.fixture
def wrong_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one kind of product some are no longer right, as on a CPU that its kernels were never tried on."""
    for product in (FloatProduct, Int8Product):
        plain = product.forward

        def forward(self: Any, x: torch.Tensor, added: Any = None, plain: Any = plain) -> torch.Tensor:
            sums = plain(self, x, added)
            sums[:, ::3] += 1
            return sums

        monkeypatch.setattr(product, "forward", forward)


@needs_int8
def test_auto_takes_int8(capsys: pytest.CaptureFixture[str]) -> None:
    engine = make_engine(make_model())
    assert engine.name == "int8"
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("kind", ["reference", "torch", pytest.param("int8", marks=needs_int8)])
def test_kinds_are_what_they_are_called(kind: str) -> None:
    model = make_model()
    engine = make_engine(model, kind)
    assert engine.name == kind
    agreement = compare(engine, model)
    assert agreement.difference < (0.1 if kind == "int8" else 1e-5)
    assert agreement.same > 0.95
    assert agreement == compare(engine, model)


def test_without_the_operator_auto_takes_torch(choose: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    choose(Missing)
    assert make_engine(make_model()).name == "torch"
    assert capsys.readouterr().err == ""
    with pytest.raises(UserError, match=r"int8 is not possible here .*no_such_operator.*engine=auto"):
        make_engine(make_model(), "int8")


class Different(OneDnn):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) + 1e-6


@needs_int8
def test_a_kernel_for_many_rows_is_one_that_gives_the_same_bits(choose: Callable[..., None]) -> None:
    first = int8_kernels.kernels()[0]
    choose(Missing, first)
    assert int8_kernels.kernels() == (first, None)
    choose(first, first)
    assert int8_kernels.kernels() == (first, first)
    choose(first, Missing, Different)
    assert int8_kernels.kernels() == (first, None)


def test_on_a_machine_without_the_libraries_there_are_no_products(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(int8_kernels, "FBGEMM", ("none",))
    with pytest.raises(RuntimeError, match="no none kernels on this machine"):
        Fbgemm(torch.ones(2, 3), 1 / 127, 128)


@needs_int8
def test_making_an_engine_leaves_no_trace() -> None:
    before = torch.backends.quantized.engine
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make_engine(make_model(cell="peephole"), "int8")
    assert torch.backends.quantized.engine == before


@needs_int8
def test_wrong_results_are_refused(wrong_sums: None, capsys: pytest.CaptureFixture[str]) -> None:
    model = make_model()
    for kind in ("torch", "int8"):
        with pytest.raises(UserError, match=rf"engine={kind} is refused, its results are too far"):
            make_engine(model, kind)
    assert make_engine(model).name == "reference"
    left_out = capsys.readouterr().err.splitlines()
    assert [line.partition(" ")[0] for line in left_out] == ["engine=int8", "engine=torch"]


def test_what_is_no_number_is_refused() -> None:
    model = make_model()
    with torch.no_grad():
        model.embedding.weight[:] = torch.nan
    with pytest.raises(UserError, match="too far"):
        make_engine(model, "torch")


def test_unknown_kinds_and_devices() -> None:
    with pytest.raises(UserError, match="engine='fast' is unknown: choose one of auto, reference"):
        make_engine(make_model(), "fast")
    with pytest.raises(UserError, match=r"engine=cuda is not possible here .* on cpu\): .* or device=cuda"):
        make_engine(make_model(), "cuda")


@needs_int8
@pytest.mark.parametrize("levels", [127, 63])
@pytest.mark.parametrize("kernel", int8_kernels.KERNELS)
def test_int8_products(
    choose: Callable[..., None], kernel: type[Kernel], levels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose(kernel)
    if missing := int8_missing():
        pytest.skip(f"no {kernel.__name__} kernels here: {missing}")
    if levels > int8_kernels.levels():
        pytest.skip("this CPU adds products in 16 bits, which so many levels overflow")
    monkeypatch.setattr(products, "levels", lambda: levels)
    torch.manual_seed(0)
    weight, bias, x = torch.randn(30, 64), torch.randn(30), torch.rand(6, 64) * 2 - 1
    weight[3] = 0
    for bound, scaled in ((1.0, x), (4.0, 4 * x), (None, 100 * x), (None, 0 * x)):
        wanted = scaled @ weight.t() + bias
        found = Int8Product(weight, bias, bound)(scaled)
        step_x = (scaled.abs().amax(1, keepdim=True) if bound is None else bound) / levels
        step_weight = weight.abs().amax(1) / 127
        rounding = (step_x * weight.abs().sum(1) + scaled.abs().sum(1, keepdim=True) * step_weight) / 2
        assert ((found - wanted).abs() <= 1.02 * rounding + 1e-5).all()
        added = Int8Product(weight, None, bound)(scaled, bias.expand(6, 30))
        torch.testing.assert_close(added, found)


def test_the_logic_of_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "capture", eager)
    model = make_model(learned_state=True)
    engine = GraphEngine(model)
    for batch in (1, 5, 3):
        tokens, features = draw(12, batch, model)
        expected, _ = run(ReferenceEngine(model), tokens, features)
        found, state = run(engine, tokens, features)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
        kept = [part.clone() for parts in state for part in parts]
        run(engine, tokens, features)
        assert all(map(torch.equal, kept, [part for parts in state for part in parts]))
    assert sorted(engine._graphs) == [1, 4, 8]


@pytest.fixture
def four_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def test_pieces_are_the_same_by_whatever_threads_graphs_are_replayed(
    four_threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph, "capture", eager)
    made = make_generator()
    made._engine = ReferenceEngine(made.model)
    expected = made.generate_scores(13, seed=4, max_tokens=40, particles=2, bars=2)
    made._engine = GraphEngine(made.model)
    monkeypatch.setattr(graph, "ROWS", 3)
    monkeypatch.setattr(GraphEngine, "rows", 20)  # ten pieces of two particles, and then three
    assert [made.engine.writers(rows) for rows in (20, 6)] == [4, 2]
    found = made.generate_scores(13, seed=4, max_tokens=40, particles=2, bars=2)
    assert [piece.score for piece in found] == [piece.score for piece in expected]


def test_on_a_gpu_several_threads_write_only_very_many_rows() -> None:
    engine = GraphEngine(make_model())
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(16)
        assert [engine.writers(batch) for batch in (1, 64, 2047, 2048, 4096, 1 << 20)] == [1, 1, 1, 2, 4, 4]
        torch.set_num_threads(2)
        assert engine.writers(4096) == 2
    finally:
        torch.set_num_threads(threads)
