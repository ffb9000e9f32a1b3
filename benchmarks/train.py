"""Training throughput against a bare torch.nn.LSTM loop of the same size, batch and window.

    python benchmarks/train.py [--pieces 200] [--rounds 5]

The bare loop has random tokens that are there already, an embedding, `torch.nn.LSTM`, a linear layer, AdamW and
clipping: no data loading, no augmentation, no encoding, no skip connections, no averaging, no logging. Ours is
`musiclstm.training.run.fit` as the command calls it, all of that included, on made-up chorales. Both are run in
turn, and each ratio is of two runs beside each other.

With skip=none both have the same layers; with skip=graves ours has wider ones, which is work and not overhead.
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
from musiclstm.model.music_lstm import MusicLSTM
from musiclstm.score import Score, make_notes
from musiclstm.tokenizers.voices import Voices
from musiclstm.training.run import fit


class Store:
    """Made-up chorales: four voices that move by step, about as long as Bach's."""

    def __init__(self, pieces: int) -> None:
        random = np.random.default_rng(0)
        self.scores = [self._chorale(random, int(random.integers(150, 330))) for _ in range(pieces)]
        self.names = [str(i) for i in range(pieces)]
        self.note_counts = np.array([len(score) for score in self.scores])

    def __getitem__(self, index: int) -> Score:
        return self.scores[index]

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


def bare(vocabulary: int, embedding: int, hidden: int, layers: int, lanes: int, window: int, steps: int) -> float:
    """Tokens per second of the plain loop."""
    embed, lstm = nn.Embedding(vocabulary, embedding), nn.LSTM(embedding, hidden, layers, batch_first=True)
    head = nn.Linear(hidden, vocabulary)
    parameters = [*embed.parameters(), *lstm.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3)
    tokens = torch.randint(3, vocabulary, (lanes, window + 1))
    state = None
    for step in range(steps + 3):
        if step == 3:
            began = time.perf_counter()
        h, state = lstm(embed(tokens[:, :-1]), state)
        state = tuple(part.detach() for part in state)
        loss = nn.functional.cross_entropy(head(h).flatten(0, 1), tokens[:, 1:].flatten())
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
    for name, value in (("pieces", 200), ("rounds", 5), ("steps", 20), ("hidden", 256), ("layers", 2)):
        parser.add_argument(f"--{name}", type=int, default=value)
    for name, value in (("embedding", 128), ("lanes", 16), ("window", 256)):
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    sizes = (options.embedding, options.hidden, options.layers, options.lanes, options.window, options.steps)
    store = Store(options.pieces)
    print(
        f"{options.layers} x {options.hidden}, batch {options.lanes}, window {options.window}, "
        f"torch {torch.__version__}, {torch.get_num_threads()} threads"
    )
    for skip in ("none", "graves"):
        pairs = []
        for _ in range(options.rounds):
            pairs.append((ours(store, skip, *sizes), bare(len(Voices(4).vocabulary), *sizes)))
        ratios = [a / b for a, b in pairs]
        print(
            f"skip={skip}: musiclstm {median(a for a, _ in pairs):,.0f} tokens/s, bare loop "
            f"{median(b for _, b in pairs):,.0f}; ratio {median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
        )


if __name__ == "__main__":
    main()
