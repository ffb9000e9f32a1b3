from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from musiclstm.errors import UserError
from musiclstm.midi import to_pretty_midi, write_midi
from musiclstm.rendering import audio
from musiclstm.rendering.audio import audio_available, render_audio
from musiclstm.score import PEDAL, TEMPO, Score, make_notes

A4 = Score(make_notes([480], [1440], [69]))


@pytest.fixture(autouse=True)
def no_warnings() -> None:
    warnings.simplefilter("error")


@pytest.fixture
def soundfile() -> Any:
    pytest.importorskip("midirenderer")
    return pytest.importorskip("soundfile")


def pitch_of(sound: np.ndarray, rate: int) -> float:
    spectrum = np.abs(np.fft.rfft(sound.mean(axis=1) * np.hanning(len(sound))))
    return float(np.fft.rfftfreq(len(sound), 1 / rate)[spectrum.argmax()])


def test_an_a_is_440_hertz_and_sounds_when_it_should(soundfile: Any, tmp_path: Path) -> None:
    sound, rate = soundfile.read(render_audio(A4, tmp_path / "new" / "a.wav"))
    assert sound.shape[1] == 2
    assert pitch_of(sound, rate) == pytest.approx(440, abs=1)
    loud = np.flatnonzero(np.abs(sound).max(axis=1) > 0.01)
    assert loud[0] / rate == pytest.approx(0.5, abs=0.03)
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["a.wav"]


def test_the_last_note_fades_and_the_loudest_sample_is_loud(soundfile: Any, tmp_path: Path) -> None:
    sound, rate = soundfile.read(render_audio(A4, tmp_path / "a.wav"))
    assert 1.6 < len(sound) / rate < 3
    assert np.abs(sound[-rate // 20 :]).max() < 0.01
    assert np.abs(sound).max() == pytest.approx(0.9, abs=0.01)


def test_a_midi_file_is_played_as_its_score_is(soundfile: Any, tmp_path: Path) -> None:
    score = A4.replace(tempos=np.array([(0, 1_000_000)], TEMPO), pedals=np.array([(480, 1500, 0)], PEDAL))
    write_midi(score, tmp_path / "a.mid")
    render_audio(tmp_path / "a.mid", tmp_path / "file.wav")
    render_audio(score, tmp_path / "score.wav")
    assert (tmp_path / "file.wav").read_bytes() == (tmp_path / "score.wav").read_bytes()


def test_no_notes_are_a_moment_of_silence(soundfile: Any, tmp_path: Path) -> None:
    sound, _ = soundfile.read(render_audio(Score(make_notes([], [], [])), tmp_path / "a.wav"))
    assert len(sound) > 0
    assert np.abs(sound).max() == 0


def test_a_track_that_ends_later_is_still_the_same_music() -> None:
    import mido

    content = io.BytesIO()
    to_pretty_midi(A4).write(content)
    before, after = (
        mido.MidiFile(file=io.BytesIO(data))
        for data in (content.getvalue(), audio._end_later(content.getvalue(), 2880))
    )
    assert after.length == pytest.approx(before.length + 3, abs=0.01)
    for old, new in zip(before.tracks, after.tracks, strict=True):
        assert new[: len(old) - 1] == old[:-1]


def test_without_the_extra_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(audio, "find_spec", lambda name: None)
    assert not audio_available()
    with pytest.raises(UserError, match=r'pip install "musiclstm\[audio\]"$'):
        render_audio(A4, tmp_path / "a.wav")


def test_bad_input_is_said_and_leaves_nothing(soundfile: Any, tmp_path: Path) -> None:
    (tmp_path / "bad.mid").write_bytes(b"not music")
    (tmp_path / "odd.mid").write_bytes(
        b"MThd\0\0\0\6\0\2\0\1\1\xe0MTrk\0\0\0\x0c\0\x90\x45\x40\x60\x80\x45\x40\0\xff\x2f\0"
    )
    cases: list[tuple[Score | Path, str, str]] = [
        (tmp_path / "bad.mid", "a.wav", "bad.mid: not a sound MIDI file"),
        (tmp_path / "odd.mid", "a.wav", "odd.mid: "),
        (A4, "a.mp3", "ends in .wav"),
        (Score(make_notes([0], [480 * 2 * 60 * 61], [69])), "a.wav", "at most 60 become audio"),
    ]
    for music, path, said in cases:
        with pytest.raises(UserError, match=said):
            render_audio(music, tmp_path / path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["bad.mid", "odd.mid"]
