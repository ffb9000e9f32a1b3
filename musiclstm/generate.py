"""The command that writes music with a trained model: python -m musiclstm.generate"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musiclstm.commands import command
from musiclstm.console import Progress, duration, progress, say
from musiclstm.errors import UserError
from musiclstm.runs import describe, new_folder

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from musiclstm.generation import Generated, MusicGenerator

OPTIONS = (
    *("seed", "temperature", "top_k", "top_p", "min_p", "max_tokens", "max_bars", "max_seconds", "endless"),
    *("prompt", "prompt_bars", "prompt_seconds", "prompt_tokens", "infill", "control", "particles", "rescue"),
)
"""The settings that are arguments of `MusicGenerator.prepare`, besides constraints."""


@command("generate")
def main(cfg: DictConfig) -> None:
    """Loads the model, writes `n` pieces into a folder and says what came of it."""
    from omegaconf import OmegaConf

    from musiclstm.generation import load, outputs_folder
    from musiclstm.generation.controls import CONTROLS
    from musiclstm.rendering.outputs import read_formats

    formats = read_formats(cfg.format)
    generator = load(cfg.checkpoint, engine=cfg.engine, device=cfg.device)
    folder = Path(cfg.output) if cfg.output else new_folder(outputs_folder() / "generated")
    settings: Any = OmegaConf.to_container(cfg)
    job = generator.prepare(cfg.n, **{name: settings[name] for name in (*OPTIONS, *CONTROLS)})
    names = piece_names(cfg.prompt, cfg.n)
    _refuse_to_overwrite(folder, names, formats, overwrite=cfg.overwrite)
    say(describe(generator))
    began = time.monotonic()
    with progress("Generating", cfg.n, unit="pieces") as bar:
        counter = Counter(bar)
        pieces = job.run(on_end=bar.advance, on_tokens=counter)
    elapsed = time.monotonic() - began
    write_pieces(pieces, folder, names, formats, seed=cfg.seed)
    for name, piece in zip(names, pieces, strict=True):
        say(f"  {name}: {summary(piece, generator)}")
        for remark in piece.remarks:
            say(f"    {remark}")
    tokens = sum(piece.tokens for piece in pieces)
    removed = sum(piece.masked * piece.tokens for piece in pieces) / max(tokens, 1)
    say(
        f"{counter.total:,} tokens in {duration(elapsed)}, {counter.total / elapsed:,.0f} tokens a second; the grammar "
        f"removed {percent(removed)} of the model's probability"
    )
    if cfg.format in (None, "auto") and "wav" not in formats:
        say('No audio: pip install "musiclstm[audio]" adds it')
    first, *others = formats
    files = f"{names[0]}.{first} to {names[-1]}.{first}" if len(names) > 1 else f"{names[0]}.{first}"
    say(f"Folder: {folder} ({', '.join([files, *(f'.{other}' for other in others)])})")


class Counter:
    """Shows the tokens that are drawn, by all rows, behind the pieces that are done."""

    def __init__(self, bar: Progress) -> None:
        self.total = 0
        self._bar = bar

    def __call__(self, tokens: int) -> None:
        self.total += tokens
        self._bar.update(tokens=self.total)


def percent(share: float) -> str:
    """A share to two significant digits, however small: 0.000123 is 0.012%."""
    import numpy as np

    return np.format_float_positional(100 * max(share, 0.0), precision=2, fractional=False, trim="-") + "%"


def piece_names(prompt: str | None, n: int) -> list[str]:
    """The names of the files without their endings: piece-001 ..., or after the prompt's file, SONG-001 ..."""
    stem = "piece" if prompt in (None, "random") else Path(str(prompt)).stem
    return [f"{stem}-{number:03d}" for number in range(1, n + 1)]


def summary(piece: Generated, generator: MusicGenerator) -> str:
    """A piece in a line: notes, length, and how it ended."""
    from musiclstm.generation.prompt import keeps_seconds

    score = piece.score
    facts = [f"{len(score):,} notes" if len(score) != 1 else "1 note"]
    if piece.prompt_end is not None:
        facts[0] += f" ({int((score.notes['start'] >= piece.prompt_end).sum()):,} after the prompt)"
    facts.append(duration(piece.seconds))
    if not keeps_seconds(generator.tokenizer):
        bars = len(score.bar_starts()) - (score.first_bar > 0)
        facts.append(f"{bars:,} bars" if bars != 1 else "1 bar")
    return ", ".join(facts) + ("" if piece.ended else ", stopped at the limit")


def write_pieces(pieces: list[Generated], folder: Path, names: list[str], formats: list[str], seed: int) -> None:
    """Writes each piece in every one of `formats`."""
    from musiclstm.rendering.outputs import write_piece

    with progress("Writing", len(pieces), unit="pieces") as bar:
        for name, piece in zip(names, pieces, strict=True):
            title = f"{name}  (seed {seed})"
            end, again = piece.new or (piece.prompt_end, None)
            write_piece(piece.score, folder, name, formats, title=title, prompt_end=end, prompt_again=again)
            bar.advance()


def _refuse_to_overwrite(folder: Path, names: list[str], formats: list[str], *, overwrite: Any) -> None:
    from musiclstm.rendering.outputs import existing

    if not isinstance(overwrite, bool):
        raise UserError(f"overwrite={overwrite} is not possible: give true or false")
    if folder.exists() and not folder.is_dir():
        raise UserError(f"output={folder} is a file: give a folder")
    there = existing(folder, names, formats)
    if there and not overwrite:
        raise UserError(f"output={folder} already has {there[0].name}: give another folder, or overwrite=true")


if __name__ == "__main__":
    main()
