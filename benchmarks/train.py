"""Training throughput against a bare torch.nn.LSTM loop of the same size, batch and window.

    python benchmarks/train.py [--pieces 200] [--rounds 5]

The bare loop has random tokens that are there already, an embedding, `torch.nn.LSTM`, a linear layer, AdamW and
clipping: no data loading, no augmentation, no encoding, no context features, no averaging, no logging. Ours is
`musiclstm.training.run.fit` as the command calls it, all of that included, on made-up chorales. Both are run in
turn, and each ratio is of two runs beside each other.

With skip=graves the layers are wider than those of a plain `nn.LSTM`: that is work and not overhead, so ours is
compared with bare loops of both.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import nn

from musiclstm.data.augmentation import Augmentation
from musiclstm.data.datamodule import MusicData
from musiclstm.data.lanes import Lanes
from musiclstm.model.music_lstm import MusicLSTM
from musiclstm.score import Score, make_notes
from musiclstm.tokenizers.voices import Voices
from musiclstm.training.run import fit


class Store:
    """Made-up chorales: four voices that move by step, about as long as Bach's."""

    def __init__(self, pieces: int) -> None:
        random = np.random.default_rng(0)
        self.scores = [self._chorale(random, int(random.integers(150, 330))) for _ in range(pieces)]

    def __getitem__(self, index: int) -> Score:
        return self.scores[index]

    def name(self, index: int) -> str:
        return str(index)

    def split(self, name: str) -> np.ndarray:
        return np.arange(1) if name == "validation" else np.arange(1, len(self.scores))

    @staticmethod
    def _chorale(random: np.random.Generator, steps: int) -> Score:
        columns = []
        for voice, pitch in enumerate((72, 67, 60, 48)):
            start = np.arange(0, steps, 3)
            pitches = np.clip(pitch + np.cumsum(random.integers(-2, 3, len(start))), pitch - 8, pitch + 8)
            columns.append(np.stack([start, start + 3, pitches, np.full(len(start), voice)]))
        start, end, pitches, voices = np.concatenate(columns, axis=1)
        return Score(make_notes(start, end, pitches, 80, 52, voices), 4)


def bare(
    vocabulary: int, skip: str, embedding: int, hidden: int, layers: int, lanes: int, window: int, steps: int
) -> float:
    """Tokens per second of the plain loop; with skip="graves" its `nn.LSTM`s are joined as Graves joins them."""
    embed = nn.Embedding(vocabulary, embedding)
    if skip == "graves":
        widths = [embedding] + [embedding + hidden] * (layers - 1)
        lstms = [nn.LSTM(width, hidden, batch_first=True) for width in widths]
    else:
        lstms = [nn.LSTM(embedding, hidden, layers, batch_first=True)]
    head = nn.Linear(hidden * len(lstms), vocabulary)
    parameters = [p for module in (embed, head, *lstms) for p in module.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3)
    tokens = torch.randint(3, vocabulary, (lanes, window + 1))
    states: list[tuple[torch.Tensor, torch.Tensor] | None] = [None] * len(lstms)
    began = 0.0
    for step in range(steps + 3):
        if step == 3:
            began = time.perf_counter()
        x = embed(tokens[:, :-1])
        outputs: list[torch.Tensor] = []
        for i, lstm in enumerate(lstms):
            h, (last_h, last_c) = lstm(torch.cat([x, outputs[-1]], -1) if outputs else x, states[i])
            states[i] = (last_h.detach(), last_c.detach())
            outputs.append(h)
        logits = head(torch.cat(outputs, -1) if len(outputs) > 1 else outputs[0])
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
    return steps * lanes * window / (time.perf_counter() - began)


def ours(
    store: Store, skip: str, embedding: int, hidden: int, layers: int, lanes: int, window: int, steps: int
) -> float:
    """Tokens per second of a whole run of training but for its one validation; what pads a lane does not count."""
    tokenizer = Voices(4)
    data = MusicData(store, tokenizer, Augmentation(5, 0.05, 8, 36, 90), lanes=lanes, window=window, max_val_tokens=1)  # type: ignore[arg-type]
    sizes = tuple(tokenizer.context_sizes.values())
    model = MusicLSTM(
        len(tokenizer.vocabulary), sizes, embedding_size=embedding, hidden_size=hidden, num_layers=layers, skip=skip
    )
    times: list[tuple[float, int]] = []
    stream = data.train_dataloader

    def timed() -> object:
        lanes_ = stream()
        assert isinstance(lanes_, Lanes)  # as it is on the CPU
        plain = lanes_._next

        def clocked() -> object:
            window_ = plain()
            times.append((time.perf_counter(), int((window_.targets != 0).sum())))
            return window_

        lanes_._next = clocked  # type: ignore[method-assign, assignment]
        return lanes_

    data.train_dataloader = timed  # type: ignore[method-assign, assignment]
    trainer = {
        "max_steps": steps + 5,
        "accelerator": "cpu",
        "gradient_clip_val": 1.0,
        "val_check_interval": 10**6,
        "log_every_n_steps": 10,
    }
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        fit(
            model,
            data,
            Path(folder),
            max_minutes=None,
            trainer=trainer,
            optimizer={},
            patience=10,
            every_minutes=1,
            provenance={},
        )
    # A window is asked for as the one before it has been trained on (Lightning keeps one in hand).
    (first, _), (last, _) = times[3], times[3 + steps]
    return sum(tokens for _, tokens in times[2 : 2 + steps]) / (last - first)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("pieces", 200), ("rounds", 5), ("steps", 40), ("hidden", 256), ("layers", 2)):
        parser.add_argument(f"--{name}", type=int, default=value)
    for name, value in (("embedding", 128), ("lanes", 16), ("window", 128)):
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    sizes = (options.embedding, options.hidden, options.layers, options.lanes, options.window, options.steps)
    store = Store(options.pieces)
    print(
        f"{options.layers} x {options.hidden}, batch {options.lanes}, window {options.window}, "
        f"torch {torch.__version__}, {torch.get_num_threads()} threads"
    )
    vocabulary = len(Voices(4).vocabulary)
    for skip in ("none", "graves"):
        rounds = [
            (ours(store, skip, *sizes), bare(vocabulary, skip, *sizes), bare(vocabulary, "none", *sizes))
            for _ in range(options.rounds)
        ]
        print(f"skip={skip}: musiclstm {median(r[0] for r in rounds):,.0f} tokens/s")
        _ratio(f"a bare loop of the same layers, skip={skip}", [(r[0], r[1]) for r in rounds])
        if skip == "graves":
            _ratio("a bare loop of a plain nn.LSTM, which has narrower layers", [(r[0], r[2]) for r in rounds])


def _ratio(what: str, pairs: list[tuple[float, float]]) -> None:
    ratios = [a / b for a, b in pairs]
    print(
        f"  {median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f}) of {what}, "
        f"{median(b for _, b in pairs):,.0f} tokens/s"
    )


if __name__ == "__main__":
    main()
