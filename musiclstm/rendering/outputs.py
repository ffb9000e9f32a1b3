"""The files that a piece is written to: which formats there are, what they are called, and who writes them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from musiclstm.errors import UserError
from musiclstm.files import whole_file
from musiclstm.midi import write_midi
from musiclstm.rendering.audio import audio_available, render_audio
from musiclstm.rendering.engraving.musicxml import to_musicxml
from musiclstm.rendering.engraving.pages import pages_available, to_pdf, to_svg
from musiclstm.rendering.piano_roll import piano_roll
from musiclstm.score import Score

FORMATS = ("mid", "png", "wav", "musicxml", "pdf", "svg")
_ENGRAVED = {"musicxml", "pdf", "svg"}


def read_formats(setting: Any) -> list[str]:
    """The formats that `setting` asks for, in the order of FORMATS.

    setting: one of FORMATS; several, as a list or joined by '+'; or "auto" or None for mid, png, and wav where the
    `audio` extra is installed. Raises UserError for anything else, and for a format whose extra is not installed.
    """
    if setting is None or setting == "auto":
        return ["mid", "png"] + ["wav"] * audio_available()
    several = isinstance(setting, Sequence) and not isinstance(setting, str)
    words = list(setting) if several else re.split(r"[+,\s]+", str(setting))
    asked = [str(word).strip().lower().removeprefix(".") for word in words]
    unknown = [word for word in asked if word not in FORMATS]
    if unknown or not asked:
        given = unknown[0] if unknown and unknown[0] else "nothing"
        raise UserError(f"format={given} is not possible: give auto, or some of {', '.join(FORMATS)} joined by +")
    for extra, there, needed in (("audio", audio_available, {"wav"}), ("score", pages_available, {"pdf", "svg"})):
        for word in asked:
            if word in needed and not there():
                raise UserError(f'format={word} needs the {extra} extra: pip install "musiclstm[{extra}]"')
    return [word for word in FORMATS if word in asked]


def existing(folder: Path, names: Iterable[str], formats: Sequence[str]) -> list[Path]:
    """The files in `folder` that pieces called `names` would replace, or whose pages they would be taken for."""
    names = list(names)
    found = [path for name in names for word in formats if (path := folder / f"{name}.{word}").exists()]
    if "svg" in formats and folder.is_dir():
        wanted = set(names)
        for path in sorted(folder.iterdir()):
            page = re.fullmatch(r"(.+)-[1-9][0-9]*\.svg", path.name)
            if page and page[1] in wanted:
                found.append(path)
    return found


def write_piece(
    score: Score,
    folder: Path,
    name: str,
    formats: Sequence[str],
    *,
    title: str = "",
    prompt_end: int | None = None,
    prompt_again: int | None = None,
) -> list[Path]:
    """Write `score` into `folder` in each of `formats`, and return the paths: `name`.mid and so on.

    A score of several pages is `name`-1.svg, `name`-2.svg ... in SVG. Each file is whole or not there; pages that an
    earlier score of the same name had are removed. `title` stands above the picture and the score; in the picture
    the ticks before `prompt_end` are shaded, and those from `prompt_again` on.
    """
    written = []
    engraved = to_musicxml(score, title=" ".join(title.split())) if _ENGRAVED.intersection(formats) else b""
    pages = to_svg(engraved) if {"pdf", "svg"}.intersection(formats) else []
    for word in formats:
        path = folder / f"{name}.{word}"
        if word == "mid":
            write_midi(score, path)
        elif word == "png":
            piano_roll(score, path, prompt_end=prompt_end, prompt_again=prompt_again, title=title or None)
        elif word == "wav":
            render_audio(score, path)
        elif word == "svg":
            written += _write_pages(folder, name, pages)
            continue
        else:
            with whole_file(path) as beside:
                beside.write_bytes(engraved if word == "musicxml" else to_pdf(pages))
        written.append(path)
    return written


def _write_pages(folder: Path, name: str, pages: Sequence[str]) -> list[Path]:
    numbers = [f"-{number}" for number in range(1, len(pages) + 1)] if len(pages) > 1 else [""]
    paths = [folder / f"{name}{number}.svg" for number in numbers]
    for path, page in zip(paths, pages, strict=True):
        with whole_file(path) as beside:
            beside.write_text(page, encoding="utf-8")
    for path in existing(folder, [name], ["svg"]):
        if path not in paths:
            path.unlink()
    return paths
