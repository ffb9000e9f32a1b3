"""A piece as sound, played by the SoundFont that pretty_midi brings."""

from __future__ import annotations

import io
import os
from functools import lru_cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from musiclstm.errors import UserError
from musiclstm.files import whole_file
from musiclstm.midi import read_midi, to_pretty_midi
from musiclstm.score import Score

MAX_MINUTES = 60  # 700 MB of samples
_TAIL = 3.0  # seconds for the last notes to fade in
_PEAK = 0.9 * 2**15
_SILENCE = 8  # of 2**15

_END_OF_TRACK = b"\xff\x2f\x00"
_EMPTY_TEXT = b"\xff\x01\x00"


def audio_available() -> bool:
    """Whether the `audio` extra is installed."""
    return all(find_spec(name) is not None for name in ("midirenderer", "soundfile"))


def render_audio(music: Score | str | os.PathLike[str], path: str | os.PathLike[str]) -> Path:
    """Play a Score or a MIDI file into the WAV file `path` (16 bits, stereo), and return the path.

    The loudest sample is brought to 0.9 of full scale, and the last notes fade away. The file is whole or not there.
    Raises UserError without the `audio` extra, or where `music` is longer than MAX_MINUTES, cannot be read, or `path`
    does not end in .wav.
    """
    if not audio_available():
        raise UserError('audio needs two more packages: pip install "musiclstm[audio]"')
    import soundfile

    path = Path(path)
    if path.suffix.lower() != ".wav":
        raise UserError(f"{path}: audio is written as WAV; give a path that ends in .wav")
    score = music if isinstance(music, Score) else read_midi(music)
    if score.duration > 60 * MAX_MINUTES:
        raise UserError(
            f"{score.duration / 60:.0f} minutes of music, and at most {MAX_MINUTES} become audio; give a part of it"
        )
    sound, rate = soundfile.read(io.BytesIO(_play(score, music)), dtype="int16", always_2d=True)
    loud = np.flatnonzero(((sound > _SILENCE) | (sound < -_SILENCE)).any(axis=1))
    sound = sound[: (int(loud[-1]) if len(loud) else 0) + rate // 10]
    peak = max(int(sound.max(initial=1)), -int(sound.min(initial=0)))
    np.multiply(sound, _PEAK / peak, out=sound, casting="unsafe")
    with whole_file(path) as beside:
        soundfile.write(beside, sound, rate, format="WAV", subtype="PCM_16")
    return path


def _play(score: Score, music: Score | str | os.PathLike[str]) -> bytes:
    """`music`, whose notes are `score`, as a WAV file."""
    import midirenderer

    if isinstance(music, Score):
        content = io.BytesIO()
        to_pretty_midi(music).write(content)
        midi = content.getvalue()
    else:
        midi = Path(music).read_bytes()  # and not its score, which has lost pitch bends, volumes and the like
    ticks = round(_TAIL * 1e6 * score.ticks_per_quarter / float(score.tempos["microseconds"][-1]))
    try:
        return bytes(midirenderer.render_wave_from(_soundfont(), _end_later(midi, ticks)))
    except (RuntimeError, ValueError) as error:
        raise UserError(f"{'the score' if isinstance(music, Score) else music}: cannot be played: {error}") from error


@lru_cache(maxsize=1)
def _soundfont() -> bytes:
    return files("pretty_midi").joinpath("TimGM6mb.sf2").read_bytes()


def _end_later(midi: bytes, ticks: int) -> bytes:
    """The MIDI file with every track `ticks` longer: the renderer stops dead at the last event."""
    delta = bytes([ticks & 0x7F])
    while ticks := ticks >> 7:
        delta = bytes([0x80 | ticks & 0x7F]) + delta
    parts, at = [midi[:14]], 14
    while at + 8 <= len(midi):
        kind, size = midi[at : at + 4], int.from_bytes(midi[at + 4 : at + 8], "big")
        body = midi[at + 8 : at + 8 + size]
        if kind == b"MTrk" and body.endswith(_END_OF_TRACK):
            # The time that stood before the end now stands before a text that says nothing.
            body = body.removesuffix(_END_OF_TRACK) + _EMPTY_TEXT + delta + _END_OF_TRACK
        parts += [kind, len(body).to_bytes(4, "big"), body]
        at += 8 + size
    return b"".join(parts)
