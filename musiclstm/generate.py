"""The command that writes music with a trained model: python -m musiclstm.generate"""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from musiclstm.commands import command
from musiclstm.console import duration, progress, say
from musiclstm.errors import UserError

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from musiclstm.generation import Generated, MusicGenerator

OPTIONS = (
    *("seed", "temperature", "top_k", "top_p", "min_p", "max_tokens", "max_bars", "max_seconds"),
    *("prompt", "prompt_bars", "prompt_seconds", "prompt_tokens"),
)
"""The settings that are arguments of `MusicGenerator.generate`."""


@command("generate")
def main(cfg: DictConfig) -> None:
    """Loads the model, writes `n` pieces into a folder and says what came of it."""
    from musiclstm.generation import load, outputs_folder

    audio = wants_audio(cfg.audio)
    generator = load(cfg.checkpoint)
    folder = Path(cfg.output) if cfg.output else _new_folder(outputs_folder() / "generated")
    job = generator.prepare(cfg.n, **{name: cfg[name] for name in OPTIONS})
    names = piece_names(cfg.prompt, cfg.n)
    endings = [".mid"] + [".png"] * bool(cfg.picture) + [".wav"] * audio
    _refuse_to_overwrite(folder, [name + ending for name in names for ending in endings])
    say(describe(generator))
    began = time.monotonic()
    with progress("Generating", cfg.n, unit="pieces") as bar:
        pieces = job.run(on_end=bar.advance)
    elapsed = time.monotonic() - began
    write_pieces(pieces, folder, names, endings, seed=cfg.seed)
    for name, piece in zip(names, pieces, strict=True):
        say(f"  {name}: {summary(piece, generator)}")
    tokens = sum(piece.tokens for piece in pieces)
    say(f"{tokens:,} tokens in {duration(elapsed)}, {tokens / elapsed:,.0f} tokens a second")
    if cfg.audio == "auto" and not audio:
        say('No audio: pip install "musiclstm[audio]" adds it')
    files = f"{names[0]}.mid to {names[-1]}.mid" if len(names) > 1 else f"{names[0]}.mid"
    say(f"Folder: {folder} ({', '.join([files, *endings[1:]])})")


def wants_audio(setting: Any) -> bool:
    """Whether audio is rendered. Raises UserError where it is asked for and cannot be, or `setting` is neither."""
    from musiclstm.rendering.audio import audio_available

    if setting not in (True, False, "auto"):
        raise UserError(f"audio={setting} is not possible: give auto, true or false")
    if setting is True and not audio_available():
        raise UserError('audio=true needs the audio extra: pip install "musiclstm[audio]"')
    return bool(setting) and audio_available()


def piece_names(prompt: str | None, n: int) -> list[str]:
    """The names of the files without their endings: piece-001 ..., or after the prompt's file, SONG-001 ..."""
    stem = "piece" if prompt in (None, "random") else Path(str(prompt)).stem
    return [f"{stem}-{number:03d}" for number in range(1, n + 1)]


def describe(generator: MusicGenerator) -> str:
    """The model in some lines: which file it is, what it was trained on and how well it did."""
    provenance = generator.provenance
    facts = []
    if "trained_on" in provenance:
        pieces = f" ({provenance['pieces']:,} pieces)" if "pieces" in provenance else ""
        facts.append(f"trained on {provenance['trained_on']}{pieces}")
    scores = [
        f"{value:.3f} nats per {name.removeprefix('val/nats_per_').replace('_', '-')}"
        for name, value in provenance.items()
        if name.startswith("val/nats_per_")
    ]
    if scores:
        facts.append(f"validation {', '.join(scores)}")
    return "\n  ".join(
        [f"Model: {generator.path}", generator.tokenizer.describe(), *([", ".join(facts)] if facts else [])]
    )


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


def write_pieces(pieces: list[Generated], folder: Path, names: list[str], endings: list[str], seed: int) -> None:
    """Writes each piece as a MIDI file and in whatever else `endings` names."""
    from musiclstm.midi import write_midi
    from musiclstm.rendering.audio import render_audio
    from musiclstm.rendering.piano_roll import piano_roll

    with progress("Writing", len(pieces), unit="pieces") as bar:
        for name, piece in zip(names, pieces, strict=True):
            path = folder / f"{name}.mid"
            write_midi(piece.score, path)
            if ".png" in endings:
                title = f"{name}  (seed {seed})"
                piano_roll(piece.score, path.with_suffix(".png"), prompt_end=piece.prompt_end, title=title)
            if ".wav" in endings:
                render_audio(piece.score, path.with_suffix(".wav"))
            bar.advance()


def _new_folder(parent: Path) -> Path:
    """A folder named after the time, or in a multirun the run's own."""
    if HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN:
        return Path(HydraConfig.get().runtime.output_dir)
    name = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    number = 1
    while (path := parent / (name if number == 1 else f"{name}-{number}")).exists():
        number += 1
    return path


def _refuse_to_overwrite(folder: Path, names: list[str]) -> None:
    if folder.exists() and not folder.is_dir():
        raise UserError(f"output={folder} is a file: give a folder")
    there = [name for name in names if (folder / name).exists()]
    if there:
        raise UserError(f"output={folder} already has {there[0]}: give another folder, or remove what is in it")


if __name__ == "__main__":
    main()
