"""The corpora that music21 carries. Whole builds take many seconds, so a few of their files stand for all."""

from __future__ import annotations

from pathlib import Path

import music21
import pytest

from musiclstm import corpora
from musiclstm.corpora import CORPORA, build_corpus, read_chorale
from musiclstm.data.music_files import MusicFile
from musiclstm.errors import UserError
from musiclstm.midi import read_midi
from tests.data.folders import dropped, splits_of

FOLDER = Path(music21.__file__).parent / "corpus"


def only(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Let corpora hold nothing but the files of these names."""
    every = corpora._files

    def some(corpus: corpora.Corpus) -> list[MusicFile]:
        return [file for file in every(corpus) if file.name in names]

    monkeypatch.setattr(corpora, "_files", some)


def test_chorales(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    same = {"bwv197.7-a", "bwv398"}  # note for note, but for the bars
    melodies = {"bwv114.7", "bwv258"}  # one melody, set twice
    only(monkeypatch, "bwv66.6", "bwv846", "bwv277", *same, *melodies)
    store = build_corpus("bach_chorales", tmp_path, workers=1)
    assert store.folder == tmp_path / "bach_chorales" / "store"
    assert sorted(store.names) == sorted(["bwv66.6", "bwv277", *same, *melodies])
    assert dropped(store) == {
        "bach/bwv846.mxl": ("selection", "2 parts, not four"),
        "bach/bwv277.krn": ("duplicate", "the same piece in another format"),
    }
    for alike in (same, melodies):
        assert len({splits_of(store)[name] for name in alike}) == 1
    capsys.readouterr()

    midi = tmp_path / "bach_chorales" / "midi"
    assert sorted(file.stem for file in midi.iterdir()) == sorted(store.names)
    for name, score in zip(store.names, store, strict=True):
        assert read_midi(midi / f"{name}.mid") == score
        assert set(score.notes["program"].tolist()) == {52}
        assert set(score.notes["velocity"].tolist()) == {80}
        voices = [score.notes[score.notes["track"] == track] for track in range(4)]
        means = [voice["pitch"].mean() for voice in voices]
        assert means == sorted(means, reverse=True)
        assert all((voice["start"][1:] >= voice["end"][:-1]).all() for voice in voices)
    assert store[store.names.index("bwv66.6")].first_bar == 480
    build_corpus("bach_chorales", tmp_path, workers=1)
    assert capsys.readouterr().out.startswith("Prepared before")


def test_tunes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "CaptainHolmesJig", "AcaciaReel")
    store = build_corpus("folk_tunes", tmp_path, workers=1)
    jig = store[store.names.index("CaptainHolmesJig")]
    assert jig.first_bar == 240
    assert jig.meters.tolist() == [(0, 6, 8)]
    assert jig.notes["pitch"][:4].tolist() == [74, 71, 67, 64]
    assert round(6e7 / jig.tempos["microseconds"][0] / 1.5) == 108  # dotted quarters a minute
    assert len(list((tmp_path / "folk_tunes" / "midi").iterdir())) == 2


def test_all_files_are_there() -> None:
    for name, least in (("bach_chorales", 400), ("folk_tunes", 1000)):
        files = corpora._files(CORPORA[name])
        assert len(files) >= least
        assert all(file.path.is_file() for file in files)


def test_a_tempo_in_the_notation_is_kept() -> None:
    (stated,) = read_chorale(FOLDER / "bach" / "bwv119.9.mxl")
    (silent,) = read_chorale(FOLDER / "bach" / "bwv66.6.mxl")
    assert stated.tempos.tolist() == [(0, 340_909)]
    assert silent.tempos.tolist() == [(0, 625_000)]


def test_an_unknown_corpus(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"'bach'.*bach_chorales, folk_tunes"):
        build_corpus("bach", tmp_path)
