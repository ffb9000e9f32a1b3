"""LSTMs with and without skips, a GRU and a Transformer of as many parameters, trained alike and measured alike.

    python benchmarks/baselines.py --minutes 8 [--output FOLDER] [KEY=VALUE ...]
    python benchmarks/baselines.py --steps 1000 data.path=maestro experiment=piano_performance

Each row is a run of `python -m musiclstm.train` with the settings given (data.path=FOLDER, tokenizer=NAME ...; none is
the built-in chorales) and those of its row, one after another into FOLDER, for the same minutes or the same number of
steps. The first row has the size that the settings give; the width of the others is what brings their parameters
nearest to it. A row that FOLDER has already is not trained again.

Then each goes on from 2,000 and from 20,000 tokens: what its state takes, and how long a step of the reference engine,
the model's own, on one core. The Transformer does so twice: with the memory that it was trained with, and with one as
long as what it has read, which asks for no other weights. Times of steps are processor times, as are those so called.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from musiclstm.generation.engines import make_engine
from musiclstm.model.bundle import load_bundle
from musiclstm.model.music_lstm import ATTENTION, MusicLSTM

ROWS: dict[str, list[str]] = {
    "LSTM, Graves skips": [],
    "LSTM, no skips": ["model.skip=none"],
    "LSTM, Graves skips, layer norm": ["model.layer_norm=true"],
    "GRU, Graves skips": ["model.cell=gru"],
    "Transformer": ["model=transformer"],
}
CONTEXTS = (2_000, 20_000)  # tokens
MULTIPLE = 8  # of which hidden sizes are


@dataclass(frozen=True)
class Row:
    """A run: its folder, what `result.json` in it says, and the seconds of processor that its process took."""

    folder: Path
    result: dict[str, Any]
    processor: float

    @property
    def tokens(self) -> int:
        """How many it has learned from."""
        last = torch.load(self.folder / "last.ckpt", map_location="cpu", weights_only=True)
        return sum(process["tokens_seen"] for process in last["musiclstm"][:1])


def train(name: str, overrides: list[str], output: Path) -> Row:
    """The run of this name, trained if it is not there."""
    folder = output / name.lower().replace(", ", "_").replace(" ", "_")
    cost = folder / "processor.json"
    if not cost.is_file():
        command = [sys.executable, "-m", "musiclstm.train", *overrides, f"hydra.run.dir={folder}"]
        print("$", " ".join(command), flush=True)
        before = os.times()
        subprocess.run(command, check=True)
        after = os.times()
        seconds = after.children_user + after.children_system - before.children_user - before.children_system
        cost.write_text(json.dumps(seconds), encoding="utf-8")
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    return Row(folder, result, json.loads(cost.read_text(encoding="utf-8")))


def matched(arguments: dict[str, Any], parameters: int) -> int:
    """The hidden size with which a model of these arguments comes nearest to so many parameters."""

    def distance(size: int) -> int:
        with torch.device("meta"):
            return abs(MusicLSTM(**{**arguments, "hidden_size": size}).num_parameters - parameters)

    return min(range(MULTIPLE, 2 * arguments["hidden_size"] + 1, MULTIPLE), key=distance)


def arguments_of(overrides: list[str], known: dict[str, Any]) -> dict[str, Any]:
    """Those of the model that the command would train with these settings, over the tokens of a model that is there."""
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    from musiclstm.commands import CONF_DIR

    with initialize_config_dir(CONF_DIR, version_base="1.3"):
        model = OmegaConf.to_container(compose("train", overrides).model, resolve=True)
    assert isinstance(model, dict)
    given = ["vocab_size", "context_sizes"]
    if model.pop("intervals"):
        given += [name for name in ("pitches", "pitch_tokens", "references") if name in known]
    return {**{name: known[name] for name in given}, **model}


@torch.no_grad()
def stepping(model: MusicLSTM, context: int, steps: int) -> tuple[int, float]:
    """Bytes of the state after so many tokens drawn at random, and the median seconds of a step from there on."""
    engine, random = make_engine(model, "reference"), np.random.default_rng(0)
    tokens = random.integers(3, model.arguments["vocab_size"], context + steps)
    sizes = np.array(model.arguments["context_sizes"], np.int64)
    features = random.integers(sizes, size=(len(tokens), len(sizes)))
    with engine.threads(1):
        _, state = engine.read(tokens[:context], features[:context])
        size = sum(part.nbytes for layer in state for part in layer)
        times = []
        for place in range(context, context + steps):
            began = time.process_time()
            _, state = engine.step(tokens[place : place + 1], features[place : place + 1], state)
            times.append(time.process_time() - began)
    return size, median(times)


def with_memory(model: MusicLSTM, memory: int) -> MusicLSTM:
    """The same weights with another memory."""
    other = MusicLSTM(**{**model.arguments, "memory": memory})
    other.load_state_dict(model.state_dict())
    return other.eval()


def print_training(rows: dict[str, Row]) -> None:
    units = [name for name in next(iter(rows.values())).result["scores"] if name.startswith("val/nats_per_")]
    names = [f"nats a {name.removeprefix('val/nats_per_').replace('_', ' ')}" for name in units]
    print(f"| | hidden size | parameters | {' | '.join(names)} | steps | minutes | tokens/s | of processor, minutes |")
    print("|---|---|---|" + "---|" * len(units) + "---|---|---|---|")
    for name, row in rows.items():
        result = row.result
        scores = " | ".join(f"{result['scores'][unit]:.3f}" for unit in units)
        hidden = load_bundle(result["bundle"]).model.arguments["hidden_size"]
        rate = row.tokens / (60 * result["minutes"])
        print(
            f"| {name} | {hidden} | {result['parameters']:,} | {scores} | {result['steps']:,} | "
            f"{result['minutes']:.1f} | {rate:,.0f} | {row.processor / 60:.1f} |"
        )


def print_stepping(rows: dict[str, Row], steps: int) -> None:
    print("| " + "".join(f"| state after {n:,} tokens | a step from there " for n in CONTEXTS) + "|")
    print("|---|" + "---|---|" * len(CONTEXTS))
    for name, row in rows.items():
        model = load_bundle(row.result["bundle"]).model
        kinds = [(name, False)]
        if model.arguments["cell"] == ATTENTION:
            kinds = [(f"{name}, memory of {model.arguments['memory']:,}", False), (f"{name}, memory of all", True)]
        for kind, whole in kinds:
            cells = []
            for context in CONTEXTS:
                size, seconds = stepping(with_memory(model, context) if whole else model, context, steps)
                cells += [f"{size / 1e6:,.3f} MB", f"{1e3 * seconds:.2f} ms"]
            print(f"| {kind} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    budget = parser.add_mutually_exclusive_group(required=True)
    budget.add_argument("--minutes", type=float, help="of training, each row")
    budget.add_argument("--steps", type=int, help="of training, each row")
    parser.add_argument("--output", type=Path, default=Path("outputs", "baselines"))
    parser.add_argument("--timed", type=int, default=50, help="steps from each context")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="settings of musiclstm.train, for all rows")
    given = parser.parse_intermixed_args()
    limits = (
        [f"max_minutes={given.minutes}"] if given.minutes else ["max_minutes=null", f"trainer.max_steps={given.steps}"]
    )
    # What is written while training would count as training.
    common = [*given.overrides, *limits, "sample.max_tokens=16"]
    rows: dict[str, Row] = {}
    for name, own in ROWS.items():
        overrides = [*common, *own]
        if rows:
            first = next(iter(rows.values())).result
            known = load_bundle(first["bundle"]).model.arguments
            size = matched(arguments_of(overrides, known), first["parameters"])
            overrides.append(f"model.hidden_size={size}")
        rows[name] = train(name, overrides, given.output)
    print()
    print_training(rows)
    print()
    print_stepping(rows, given.timed)


if __name__ == "__main__":
    main()
