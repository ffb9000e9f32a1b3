"""Time per token and per note of the step engines, against plain loops, the floor of the machine, and Notochord.

    python benchmarks/generate.py speed [--checkpoint MODEL] [--data STORE] [--notochord PYTHON] [--device cuda]

Without a checkpoint the model is a Graves stack of 3 x 512 with random weights over the performance tokenizer. What is
compared runs in turn, some steps each, in one process, and ratios are medians over the rounds: other work on the
machine then meets all alike. With --device cuda only the batches on a GPU are timed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from musiclstm.data.store import NoteStore
from musiclstm.errors import UserError
from musiclstm.generation import DEVICES, MusicGenerator, load
from musiclstm.generation.engines import Engine, compare, make_engine
from musiclstm.generation.engines.products import FloatProduct, Int8Product, Product
from musiclstm.generation.engines.stepping import FoldedStep
from musiclstm.generation.engines.workers import workers
from musiclstm.generation.job import Job
from musiclstm.generation.writing import Writing
from musiclstm.model.music_lstm import MusicLSTM
from musiclstm.tokenizers import from_dict

BATCH = 64
BATCHES = (BATCH, 256)
GPU_BATCHES = (64, 256, 1024, 4096)
BURST = 8  # steps of each part of a batch, without waiting for the others
CONSTRAINTS: dict[str, Any] = {"key": "C major", "pitch_range": "C2-C7", "polyphony": 12, "density": "1-64"}
Step = Callable[[], None]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="generate.py speed", description=__doc__.partition("\n")[0])
    parser.add_argument("--checkpoint", help="a bundle, or the folder of a run; without it, random weights")
    parser.add_argument("--data", type=Path, help="the store that it was trained on: also print nats per note")
    parser.add_argument("--notochord", metavar="PYTHON", help="an interpreter that has the package notochord")
    parser.add_argument("--device", choices=DEVICES, default="cpu")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--steps", type=int, default=100, help="in each round")
    for name, value in (("hidden", 512), ("layers", 3), ("embedding", 512)):
        parser.add_argument(f"--{name}", type=int, default=value, help="of random weights")
    options = parser.parse_args(arguments)
    if options.data is not None and options.checkpoint is None:
        parser.error("--data is for a trained model: give its --checkpoint")
    if options.device == "cuda":
        if not torch.cuda.is_available():
            parser.error("--device cuda: torch sees no GPU here")
        if options.data is not None or options.notochord is not None:
            parser.error("--device cuda times batches alone: leave --data and --notochord out")
    torch.set_num_threads(1)
    if options.checkpoint is not None:
        generator = load(options.checkpoint, device=options.device)
    else:
        generator = _untrained(options.embedding, options.hidden, options.layers, options.device)
    model = generator.model
    print(
        f"{model.num_parameters:,} parameters, {model.arguments['num_layers']} x {model.arguments['hidden_size']}, "
        f"{generator.tokenizer.describe()}; torch {torch.__version__}"
    )
    if options.device == "cuda":
        _on_gpu(generator, options.rounds, options.steps)
        return
    engines = dict(_engines(model))
    per_token = _single(generator, engines, options.rounds, options.steps)
    _beside_python(generator)
    for batch in BATCHES:
        _batched(generator, engines, batch, options.rounds, max(10, options.steps // 5))
    if options.data is not None:
        _quality(generator, engines, options.data)
    _per_note(generator, per_token, options.notochord, options.data)


def _untrained(embedding: int, hidden: int, layers: int, device: str = "cpu") -> MusicGenerator:
    tokenizer = from_dict({"name": "performance", "arguments": {}})
    torch.manual_seed(0)
    model = MusicLSTM(
        len(tokenizer.vocabulary),
        list(tokenizer.context_sizes.values()),
        embedding_size=embedding,
        hidden_size=hidden,
        num_layers=layers,
        **tokenizer.references(),
    )
    return MusicGenerator(model.to(device), tokenizer)


def _engines(model: MusicLSTM) -> Iterator[tuple[str, Engine]]:
    for kind in ("reference", "torch", "int8"):
        began = time.perf_counter()
        try:
            engine = make_engine(model, kind)
        except UserError as error:
            print(f"no engine {kind}: {error}")
            continue
        seconds = time.perf_counter() - began
        checked = "" if kind == "reference" else f", {compare(engine, model)}"
        print(f"engine {kind}: made and checked in {seconds:.2f} s{checked}")
        yield kind, engine


# What is timed: each gives a function that makes one step of `batch` rows.


def _stepping(engine: Engine, model: MusicLSTM, batch: int) -> Step:
    """Steps of an engine over random tokens."""
    tokens, features = _drawn(model, batch)
    state, place = engine.initial_state(batch), 0

    def step() -> None:
        nonlocal state, place
        place = (place + 1) % len(tokens)
        state = engine.step(tokens[place], features[place], state)[1]

    return step


def _plain(model: MusicLSTM, batch: int) -> Step:
    """The plain way: the layers as they are trained (`nn.LSTM`, each seeing x and the layer below), with T = 1."""
    tokens, features = (torch.from_numpy(part) for part in _drawn(model, batch))
    state, place = model.initial_state(batch), 0

    @torch.inference_mode()
    def step() -> None:
        nonlocal state, place
        place = (place + 1) % len(tokens)
        state = model(tokens[place, :, None], features[place, :, None], state)[1]

    return step


class _Products(nn.Module):
    """The matrix products of a step and nothing else."""

    def __init__(self, model: MusicLSTM, product: type[Product]) -> None:
        super().__init__()
        step = FoldedStep(model, product)
        intervals = [] if step.by_interval is None else [step.by_interval]
        self.products = nn.ModuleList([*step.products, *step.below, *intervals, *step.head])

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return tuple(product(x) for product, x in zip(self.products, inputs, strict=True))


def _floors(model: MusicLSTM, kinds: Sequence[str]) -> Iterator[tuple[str, Step]]:
    """The products of one row: called from Python one after the other, and traced, as the engines have them."""
    for kind, product in (("float32", FloatProduct), ("int8", Int8Product)):
        if kind == "float32" or kind in kinds:
            yield f"{kind} products, called", _floor(model, product, traced=False)
            yield f"{kind} products, traced", _floor(model, product, traced=True)


def _floor(model: MusicLSTM, product: type[Product], traced: bool) -> Step:
    with torch.no_grad():
        run: Callable[..., object]
        products = run = _Products(model, product).eval()
        columns = [int(each.columns) for each in products.products]  # type: ignore[arg-type]
        inputs = tuple(torch.rand(1, size) * 2 - 1 for size in columns)
        if traced:
            run = torch.jit.freeze(torch.jit.trace(products, inputs, check_trace=False)).forward

    @torch.inference_mode()
    def step() -> None:
        run(*inputs)

    return step


def _whole(generator: MusicGenerator, batch: int, parts: int = 1, **constraints: Any) -> Step:
    """All that a token takes as `generate` makes it: grammar, features, sampling, clock, and the step between them.

    In several `parts`, each written by a thread of its own as `generate` does it, one call makes BURST steps of each.
    """
    job = generator.prepare(batch, endless=True, max_tokens=1 << 30, **constraints)
    assert isinstance(job, Job)
    writings = job.writings(range(batch), batch) if parts > 1 else [job.writing(range(batch))]
    for writing in writings:
        writing.begin()

    def burst(writing: Writing) -> None:
        for _ in range(BURST):
            writing.step()

    def step() -> None:
        if parts == 1:
            writings[0].step()
        else:
            list(workers(parts).map(burst, writings))

    return step


def _drawn(model: MusicLSTM, batch: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    sizes = np.array(model.arguments["context_sizes"], np.int64)
    shape = (256, batch)
    return random.integers(model.arguments["vocab_size"], size=shape), random.integers(sizes, size=(*shape, len(sizes)))


# The tables.


def _single(generator: MusicGenerator, engines: dict[str, Engine], rounds: int, steps: int) -> float:
    """One row, one thread, and how many times as long as the int8 products alone. Returns the seconds of a token."""
    model = generator.model
    timed = {"nn.LSTM, T = 1": _plain(model, 1)}
    timed |= {f"engine {kind}": _stepping(engine, model, 1) for kind, engine in engines.items()}
    timed |= dict(_floors(model, tuple(engines)))
    timed["a whole token"] = _whole(generator, 1)
    timed["the same, constrained"] = _whole(generator, 1, **CONSTRAINTS)
    torch.set_num_threads(1)
    times = _take_turns(timed, rounds, steps)
    base = times["nn.LSTM, T = 1"]
    called, traced = (
        times.get(f"int8 products, {how}", times[f"float32 products, {how}"]) for how in ("called", "traced")
    )
    whole, step = times["a whole token"], times[f"engine {generator.engine.name}"]
    print(f"\nOne row, one thread, microseconds a token ({rounds} rounds of {steps} steps)")
    print(f"{'':26}{'p50':>9}{'p99':>9}{'nn.LSTM / it':>14}{'it / called':>13}{'it / traced':>13}")
    for name, own in times.items():
        p50, p99 = np.quantile(own, (0.5, 0.99)) * 1e6
        ratios = f"{_ratio(base, own):14.1f}{_ratio(own, called):13.2f}{_ratio(own, traced):13.2f}"
        print(f"{name:26}{p50:9.0f}{p99:9.0f}{ratios}")
    print(
        f"grammar, features and sampling: {_ratio(whole, step) - 1:.0%} of the step of engine {generator.engine.name}"
    )
    return float(np.median(whole))


def _beside_python(generator: MusicGenerator) -> None:
    """What a step takes while another thread of the process runs Python without a pause, as a player's window might."""
    step, interval, stop = _stepping(generator.engine, generator.model, 1), sys.getswitchinterval(), threading.Event()

    def busy() -> None:
        while not stop.is_set():
            pass

    thread = threading.Thread(target=busy)
    thread.start()
    try:
        times = _take_turns({"step": step}, rounds=1, steps=50)["step"]
    finally:
        stop.set()
        thread.join()
    print(
        f"beside a thread that runs Python a step takes {times.mean() * 1e3:.1f} ms; Python lets threads change "
        f"every {interval * 1e3:.0f} ms"
    )


def _batched(generator: MusicGenerator, engines: dict[str, Engine], batch: int, rounds: int, steps: int) -> None:
    """Many rows, all cores."""
    model, threads = generator.model, os.cpu_count() or 1
    timed = {"nn.LSTM, T = 1": _plain(model, batch)}
    timed |= {f"engine {kind}": _stepping(engine, model, batch) for kind, engine in engines.items()}
    torch.set_num_threads(threads)
    parts = generator.engine.writers(batch)
    whole = {"whole tokens": _whole(generator, batch, parts)}
    whole["the same, constrained"] = _whole(generator, batch, parts, **CONSTRAINTS)
    times = _take_turns(timed | whole, rounds, steps)
    torch.set_num_threads(1)
    if parts > 1:
        times |= {name: times[name] / BURST for name in whole}
    base = times["nn.LSTM, T = 1"]
    print(f"\n{batch} rows, {threads} threads, tokens a second ({rounds} rounds of {steps} steps)")
    print(f"{'':26}{'tokens/s':>10}{'it / nn.LSTM':>14}")
    for name, own in times.items():
        print(f"{name:26}{batch / np.median(own):10,.0f}{_ratio(base, own):14.1f}")


def _on_gpu(generator: MusicGenerator, rounds: int, steps: int) -> None:
    """Many rows on a GPU: the step alone, and whole tokens by one thread and by as many as the engine has writers."""
    engine = make_engine(generator.model, "cuda")
    print(f"engine cuda: {compare(engine, generator.model)}")
    print(f"\n{torch.cuda.get_device_name()}, tokens a second ({rounds} rounds of {steps} steps)")
    print(f"{'rows':>6}{'engine':>12}{'whole':>12}{'threads':>9}{'whole':>12}{'constrained':>13}")
    torch.set_num_threads(os.cpu_count() or 1)
    for batch in GPU_BATCHES:
        parts = engine.writers(batch)
        timed = {
            "engine": _stepping(engine, generator.model, batch),
            "one": _whole(generator, batch),
            "several": _whole(generator, batch, parts),
            "constrained": _whole(generator, batch, parts, **CONSTRAINTS),
        }
        steps_of_call = dict.fromkeys(("several", "constrained"), BURST if parts > 1 else 1)
        times = _take_turns(timed, rounds, max(1, steps // BURST))
        rate = {name: batch * steps_of_call.get(name, 1) / np.median(own) for name, own in times.items()}
        print(
            f"{batch:6}{rate['engine']:12,.0f}{rate['one']:12,.0f}{parts:9}{rate['several']:12,.0f}"
            f"{rate['constrained']:13,.0f}",
            flush=True,
        )


def _take_turns(timed: dict[str, Step], rounds: int, steps: int) -> dict[str, np.ndarray]:
    """Seconds (rounds, steps) of each: some steps of one, then of the next, and so on again."""
    times = {name: np.empty((rounds, steps)) for name in timed}
    for step in timed.values():
        for _ in range(5):
            step()
    for turn in range(rounds):
        for name, step in timed.items():
            step()  # brings its weights back into the cache
            for i in range(steps):
                began = time.perf_counter()
                step()
                times[name][turn, i] = time.perf_counter() - began
    return times


def _ratio(one: np.ndarray, other: np.ndarray) -> float:
    """How many times as long `one` takes: the median over the rounds of the ratio of medians."""
    return float(np.median(np.median(one, axis=1) / np.median(other, axis=1)))


def _quality(generator: MusicGenerator, engines: dict[str, Engine], folder: Path) -> None:
    """Nats per note of the validation pieces, each from its beginning, step by step."""
    store, tokenizer = NoteStore.open(folder), generator.tokenizer
    scores = [store[int(i)] for i in store.split("validation")]
    scores = [score for score in scores if not tokenizer.admits(score)]
    notes = sum(map(len, scores))
    ids = [tokenizer.encode(score).astype(np.int64) for score in scores]
    print(f"\nNats per note of {len(scores)} validation pieces, {notes:,} notes")
    losses = {kind: _nats(engine, generator, ids) / notes for kind, engine in engines.items()}
    for kind, loss in losses.items():
        print(f"engine {kind:12}{loss:10.5f}{loss - losses['reference']:+12.6f}")


def _nats(engine: Engine, generator: MusicGenerator, pieces: list[np.ndarray]) -> float:
    """What all pieces cost together, side by side in batches."""
    total = 0.0
    for first in range(0, len(pieces), BATCH):
        part = sorted(pieces[first : first + BATCH], key=len)
        lengths = np.array([len(ids) for ids in part])
        features = [generator.tokenizer.context(ids[None])[0][0] for ids in part]
        state = engine.initial_state(len(part))
        for t in range(lengths.max() - 1):
            # pieces that are over go on with their last token, and do not count
            at = np.minimum(t, lengths - 1)
            tokens = np.array([ids[i] for ids, i in zip(part, at, strict=True)])
            seen = np.array([f[i] for f, i in zip(features, at, strict=True)])
            logits, state = engine.step(tokens, seen, state)
            likely = torch.from_numpy(logits).log_softmax(-1).numpy()
            going = np.flatnonzero(t + 1 < lengths)
            total -= sum(float(likely[row, part[row][t + 1]]) for row in going)
    return total


def _per_note(generator: MusicGenerator, per_token: float, python: str | None, data: Path | None) -> None:
    tokens, where = _tokens_per_note(generator, data)
    own = per_token * tokens
    print(f"\nOne thread, {tokens:.2f} tokens a note ({where}): {own * 1e3:.3f} ms a note")
    if python is None:
        return
    ratios, events = [], []
    step = _whole(generator, 1)
    for _ in range(5):
        done = subprocess.run(
            [python, "-c", NOTOCHORD], env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, check=True
        )
        events.append(json.loads(done.stdout.splitlines()[-1]))
        times = _take_turns({"token": step}, 1, 200)["token"]
        ratios.append(2 * events[-1]["event"] / (float(np.median(times)) * tokens))
    event, last = np.median([found["event"] for found in events]), events[-1]
    print(
        f"Notochord {last['version']}, {last['parameters']:,} parameters, torch {last['torch']}: "
        f"{event * 1e3:.2f} ms an event (query, then feed), {event * 2e3:.2f} ms a note of two events: "
        f"{np.median(ratios):.1f} times as long"
    )


def _tokens_per_note(generator: MusicGenerator, data: Path | None) -> tuple[float, str]:
    tokenizer = generator.tokenizer
    if data is not None:
        store = NoteStore.open(data)
        scores = [store[int(i)] for i in store.split("validation")]
        scores = [score for score in scores if not tokenizer.admits(score)]
        return sum(len(tokenizer.encode(score)) for score in scores) / sum(map(len, scores)), "of the validation pieces"
    pieces = generator.generate_scores(16, max_tokens=1000, endless=True)
    return sum(piece.tokens for piece in pieces) / sum(len(piece.score) for piece in pieces), "of what it generates"


NOTOCHORD = """
import importlib.metadata, json, statistics, time
import torch
torch.set_num_threads(1)
from notochord import Notochord
model = Notochord().eval()
model.reset()
def event():
    began = time.perf_counter()
    found = model.query()
    model.feed(found["inst"], found["pitch"], found["time"], found["vel"])
    return time.perf_counter() - began
for _ in range(10):
    event()
print(json.dumps({
    "event": statistics.median(event() for _ in range(60)),
    "parameters": sum(parameter.numel() for parameter in model.parameters()),
    "version": importlib.metadata.version("notochord"),
    "torch": torch.__version__,
}))
"""


if __name__ == "__main__":
    main()
