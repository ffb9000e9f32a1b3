from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch

from musiclstm.generation.engines import inputs, int8_kernels
from musiclstm.generation.engines.base import CHUNK, ModelEngine
from musiclstm.generation.engines.products import Int8BatchProduct, int8_missing
from musiclstm.generation.engines.reference import ReferenceEngine
from musiclstm.generation.engines.stepping import MIN_BATCH, FoldedEngine, FoldedStep, Int8Engine, TorchEngine
from musiclstm.model.stack import State, select_state
from tests.generation.engines.models import INTERVALS, KINDS, divergence, draw, make_model, run

needs_int8 = pytest.mark.skipif(int8_missing() is not None, reason="no int8 products here")
ENGINES = [TorchEngine, pytest.param(Int8Engine, marks=needs_int8)]


def name(kind: dict[str, Any]) -> str:
    said = [key for key in ("tie_output", "learned_state", "layer_norm", "gated_output", "references") if kind.get(key)]
    return "-".join([kind["cell"], kind["skip"], *said])


def same(one: State, other: State) -> bool:
    pairs = zip(sum(one, ()), sum(other, ()), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("kind", KINDS, ids=name)
def test_float32_is_the_model(kind: dict[str, Any]) -> None:
    model = make_model(**kind)
    tokens, features = draw(50, 4, model)
    expected, state = run(ReferenceEngine(model), tokens, features)
    found, own = run(TorchEngine(model), tokens, features)
    assert found.dtype == np.float32 and found.shape == (50, 4, 40)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)
    for parts, own_parts in zip(state, own, strict=True):
        assert len(parts) == len(own_parts)
        for part, own_part in zip(parts, own_parts, strict=True):
            torch.testing.assert_close(own_part, part, rtol=0, atol=1e-4)


@needs_int8
@pytest.mark.parametrize("kind", KINDS, ids=name)
def test_int8_is_close_to_the_model(kind: dict[str, Any]) -> None:
    model = make_model(**kind)
    tokens, features = draw(50, 4, model)
    expected, _ = run(ReferenceEngine(model), tokens, features)
    found, _ = run(Int8Engine(model), tokens, features)
    assert np.abs(found - expected).max() > 0
    assert divergence(expected, found) < 0.01


@needs_int8
def test_a_gate_may_make_of_h_twice_what_it_was() -> None:
    model = make_model(gated_output=True)
    with torch.no_grad():
        for parameter in model.stack.parameters():
            parameter.mul_(3)  # so that h goes to its bounds
        assert model.gate is not None
        model.gate.bias.fill_(2)
    tokens, features = draw(50, 4, model)
    expected, _ = run(ReferenceEngine(model), tokens, features)
    found, _ = run(Int8Engine(model), tokens, features)
    assert divergence(expected, found) < 0.01


@needs_int8
@pytest.mark.parametrize("kind", KINDS, ids=name)
def test_int8_rows_do_not_know_of_each_other(kind: dict[str, Any]) -> None:
    engine = Int8Engine(make_model(**kind))
    tokens, features = draw(20, 8, engine.model)
    together, state = run(engine, tokens, features)
    for rows in ([0], [5], [7, 2], list(range(7, -1, -1))):
        alone, own = run(engine, tokens[:, rows], features[:, rows])
        assert np.array_equal(alone, together[:, rows])  # bit for bit
        assert same(own, select_state(state, rows))


@needs_int8
@pytest.mark.parametrize(
    "changed", [(), ("tie_output",), ("layer_norm",), ("tie_output", "layer_norm"), ("gated_output", "layer_norm")]
)
def test_rows_do_not_know_which_kernel_steps_them(changed: tuple[str, ...]) -> None:
    if int8_kernels.kernels()[1] is None:
        pytest.skip("no kernel for many rows here")
    kind: dict[str, Any] = {"hidden_size": 64, "embedding_size": 64, **INTERVALS, **dict.fromkeys(changed, True)}
    engine = Int8Engine(make_model(**kind))
    tokens, features = draw(40, MIN_BATCH + 3, engine.model)
    assert engine.program(MIN_BATCH) is not engine.program(MIN_BATCH - 1)
    together, state = run(engine, tokens, features)
    for rows in ([0], [MIN_BATCH, 7], list(range(MIN_BATCH - 1))):
        alone, own = run(engine, tokens[:, rows], features[:, rows])
        assert np.array_equal(alone, together[:, rows])
        assert same(own, select_state(state, rows))


@needs_int8
def test_a_model_that_is_changed_later_changes_nothing_whatever_the_rows() -> None:
    kind: dict[str, Any] = {"hidden_size": 64, "embedding_size": 64, **INTERVALS}
    engine = Int8Engine(make_model(**kind))
    tokens, features = draw(5, MIN_BATCH, engine.model)
    few, _ = run(engine, tokens[:, :3], features[:, :3])
    engine.model.scale_logits(0.5)
    many, _ = run(engine, tokens, features)
    assert np.array_equal(many[:, :3], few)


@needs_int8
def test_sums_that_are_not_exact_are_left_to_the_kernel_for_few_rows() -> None:
    few, many = int8_kernels.kernels()
    if many is None:
        pytest.skip("no kernel for many rows here")
    light, heavy = torch.randn(8, 512, generator=torch.Generator().manual_seed(0)), torch.ones(8, 1024)
    assert type(Int8BatchProduct(light, None, 1.0).multiply) is many
    assert type(Int8BatchProduct(heavy, None, 1.0).multiply) is few


@pytest.mark.parametrize("hidden_size", [16, 33, 100])
@pytest.mark.parametrize("batch", [2, 8, 64])
@needs_int8
def test_int8_rows_are_the_same_in_any_batch(batch: int, hidden_size: int) -> None:
    engine = Int8Engine(make_model(hidden_size=hidden_size))
    tokens, features = draw(10, batch, engine.model)
    together, _ = run(engine, tokens, features)
    for row in range(0, batch, 7):
        alone, _ = run(engine, tokens[:, [row]], features[:, [row]])
        assert np.array_equal(alone[:, 0], together[:, row])


def test_float32_rows_do_not_know_of_each_other() -> None:
    engine = TorchEngine(make_model())
    tokens, features = draw(20, 8, engine.model)
    together, _ = run(engine, tokens, features)
    other = tokens.copy()
    other[:, 1:] = tokens[:, :0:-1]
    assert np.array_equal(run(engine, other, features)[0][:, 0], together[:, 0])
    for rows in ([3], [7, 2]):
        alone, _ = run(engine, tokens[:, rows], features[:, rows])
        np.testing.assert_allclose(alone, together[:, rows], rtol=0, atol=1e-5)  # another kernel


@pytest.mark.parametrize("make", ENGINES)
def test_states_branch_and_stay_as_they_are(make: type[FoldedEngine]) -> None:
    engine = make(make_model(cell="lstm"))
    tokens, features = draw(20, 3, engine.model)
    _, state = run(engine, tokens[:5], features[:5])
    kept = select_state(state, slice(None))
    kept = tuple(tuple(part.clone() for part in parts) for parts in kept)
    straight, _ = run(engine, tokens[5:], features[5:], state)
    assert same(state, kept)
    again, _ = run(engine, tokens[5:], features[5:], state)
    assert np.array_equal(again, straight)
    index = [2, 2, 0]
    branched, _ = run(engine, tokens[5:][:, index], features[5:][:, index], select_state(state, index))
    assert np.array_equal(branched, straight[:, index])
    run(engine, tokens, features)  # other work in between
    assert np.array_equal(run(engine, tokens[5:], features[5:], state)[0], straight)


@pytest.mark.parametrize("make", ENGINES)
@pytest.mark.parametrize("skip", ["graves", "residual"])
def test_large_tables_become_products(make: type[FoldedEngine], skip: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model(skip=skip, vocab_size=300, tie_output=True)
    tokens, features = draw(30, 4, model)
    expected, _ = run(ReferenceEngine(model), tokens, features)
    monkeypatch.setattr(inputs, "LARGEST_TABLE", 1 << 12)
    engine = make(model)
    assert FoldedStep(model, engine.product).inputs.table.shape == (300 + 4 + 7, 12)
    found, _ = run(engine, tokens, features)
    if make is TorchEngine:
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)
        return
    assert divergence(expected, found) < 0.02  # x is in 8 bits as well
    alone, _ = run(engine, tokens[:, [1]], features[:, [1]])
    assert np.array_equal(alone[:, 0], found[:, 1])


@pytest.mark.parametrize("make", ENGINES)
def test_models_without_context(make: type[FoldedEngine]) -> None:
    model = make_model(context=(), num_layers=1)
    tokens, features = draw(10, 2, model)
    expected, _ = run(ReferenceEngine(model), tokens, features)
    np.testing.assert_allclose(run(make(model), tokens, features)[0], expected, atol=0.2)


@pytest.mark.parametrize("make", [ReferenceEngine, *ENGINES])
def test_reading_is_the_models_window(make: type[ModelEngine]) -> None:
    model = make_model(learned_state=True)
    engine = make(model)
    tokens, features = (part[:, 0] for part in draw(CHUNK + 30, 1, model))
    logits, state = engine.read(tokens, features)
    with torch.no_grad():
        expected, after = model(torch.from_numpy(tokens[None]), torch.from_numpy(features[None]))
    np.testing.assert_allclose(logits, expected[0, -1], atol=1e-5)
    assert logits.shape == (40,)
    for part, wanted in zip(sum(state, ()), sum(after, ()), strict=True):
        torch.testing.assert_close(part, wanted, rtol=0, atol=1e-5)
    _, part_way = engine.read(tokens[:7], features[:7])
    np.testing.assert_allclose(engine.read(tokens[7:], features[7:], part_way)[0], logits, atol=1e-5)
    assert engine.step(tokens[7:8], features[7:8], part_way)[0].shape == (1, 40)
    with pytest.raises(ValueError, match="nothing to read"):
        engine.read(tokens[:0], features[:0])


@pytest.mark.parametrize("make", ENGINES)
def test_inference_mode_is_neither_needed_nor_in_the_way(make: type[FoldedEngine]) -> None:
    with torch.inference_mode():
        engine = make(make_model())
        tokens, features = draw(6, 2, engine.model)
        inside, state = run(engine, tokens[:3], features[:3])
    rest, _ = run(engine, tokens[3:], features[3:], state)
    whole, _ = run(engine, tokens, features)
    assert np.array_equal(np.concatenate((inside, rest)), whole)


@pytest.mark.parametrize("make", ENGINES)
def test_threads_may_share_an_engine(make: type[FoldedEngine]) -> None:
    engine = make(make_model())
    tokens, features = draw(60, 8, engine.model)

    def one(row: int) -> np.ndarray:
        return run(engine, tokens[:, [row]], features[:, [row]])[0]

    expected = [one(row) for row in range(8)]
    with ThreadPoolExecutor(4) as pool:
        assert all(np.array_equal(a, b) for a, b in zip(pool.map(one, range(8)), expected, strict=True))


@needs_int8
def test_threads_share_the_rows_of_large_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Int8Engine(make_model())
    tokens, features = draw(10, 7, engine.model)
    expected, state = run(engine, tokens, features)
    monkeypatch.setattr(Int8Engine, "small_step", 0)
    before = torch.get_num_threads()
    try:
        for threads in (2, 3, 9):
            torch.set_num_threads(threads)
            found, own = run(engine, tokens, features)
            assert np.array_equal(found, expected)
            assert same(own, state)
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def test_small_steps_take_one_thread() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        engine = ReferenceEngine(make_model())
        with engine.threads(1):
            assert torch.get_num_threads() == 1
        with engine.threads(10**6):
            assert torch.get_num_threads() == 2
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_without_tracing_a_step_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model()
    tokens, features = draw(10, 2, model)
    expected, _ = run(TorchEngine(model), tokens, features)
    monkeypatch.delattr(torch.jit, "trace")
    assert np.array_equal(run(TorchEngine(model), tokens, features)[0], expected)
