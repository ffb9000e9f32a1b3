from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pretty_midi
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from musiclstm.commands import CONF_DIR
from musiclstm.errors import UserError
from musiclstm.generate import OPTIONS, main, percent, piece_names
from musiclstm.generation import MusicGenerator
from musiclstm.generation.controls import CONTROLS
from musiclstm.midi import read_score, write_midi
from musiclstm.model.bundle import save_bundle
from musiclstm.rendering.audio import audio_available
from musiclstm.score import Score, make_notes
from tests.generation.models import make_generator


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with a bundle in outputs/."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MUSICLSTM_OUTPUTS", raising=False)
    made = make_generator()
    provenance = {"trained_on": "noise", "pieces": 1234, "val/nats_per_note": 1.25, "val/nats_per_voice_step": 0.5}
    save_bundle(Path("outputs/run/model.safetensors"), made.model, made.tokenizer.to_dict(), provenance)
    return tmp_path


def config(*overrides: str) -> DictConfig:
    with initialize_config_dir(CONF_DIR, version_base="1.3"):
        return compose("generate", list(overrides))


def run(*overrides: str) -> None:
    main(config("max_tokens=40", *overrides))


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_it_needs_no_argument(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("format=mid")
    (made,) = (folder / "outputs" / "generated").iterdir()
    assert files(made) == ["piece-001.mid", "piece-002.mid", "piece-003.mid", "piece-004.mid"]
    for name in files(made):
        assert pretty_midi.PrettyMIDI(str(made / name)).instruments[0].notes
    said = capsys.readouterr().out
    assert "Model: outputs/run/model.safetensors" in said
    assert "trained on noise (1,234 pieces), validation 1.250 nats per note, 0.500 nats per voice-step" in said
    assert re.search(r"piece-004: \d+ notes, 1\.\d s, \d bars?, stopped at the limit", said)
    assert "160 tokens in" in said
    assert "tokens a second" in said
    assert f"Folder: {made.relative_to(folder)} (piece-001.mid to piece-004.mid)" in said


def test_all_rows_count(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("n=2", "particles=3", "format=mid")
    assert "240 tokens in" in capsys.readouterr().out


def test_small_shares_are_told() -> None:
    assert [percent(share) for share in (0.0, -1e-17, 0.00001234, 0.0309, 0.25)] == [
        "0%",
        "0%",
        "0.0012%",
        "3.1%",
        "25%",
    ]


def test_it_writes_pictures_and_audio(folder: Path) -> None:
    run("n=1", "output=out/deep")
    expected = ["piece-001.mid", "piece-001.png", *(["piece-001.wav"] if audio_available() else [])]
    assert files(folder / "out" / "deep") == expected
    assert (folder / "out" / "deep" / "piece-001.png").read_bytes().startswith(b"\x89PNG")
    if audio_available():
        with wave.open(str(folder / "out" / "deep" / "piece-001.wav")) as sound:
            assert sound.getnframes() > 1000


def test_it_goes_on_from_a_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    notes = make_notes(np.arange(32) * 480, np.arange(1, 33) * 480, 60 + np.arange(32) % 12, 70, 40)
    write_midi(Score(notes, 480), "my song.mid")
    run("n=2", "prompt='my song.mid'", "prompt_bars=2", "output=out", "format=[mid,png]")
    assert files(folder / "out") == [f"my song-00{n}.{ending}" for n in (1, 2) for ending in ("mid", "png")]
    first = pretty_midi.PrettyMIDI("out/my song-001.mid").instruments[0].notes[:8]
    assert [(note.pitch, note.velocity, note.end) for note in first[:7]] == [
        (60 + i, 70, i / 2 + 0.5) for i in range(7)
    ]
    assert "after the prompt)" in capsys.readouterr().out


def test_the_same_seed_writes_the_same_files(folder: Path) -> None:
    for name in ("a", "b", "c"):
        run("n=2", f"output={name}", f"seed={5 if name != 'c' else 6}", "format=mid")
    for name in files(folder / "a"):
        assert (folder / "a" / name).read_bytes() == (folder / "b" / name).read_bytes()
        assert (folder / "a" / name).read_bytes() != (folder / "c" / name).read_bytes()


def test_nothing_is_overwritten_without_being_asked(folder: Path) -> None:
    run("n=1", "output=out", "format=mid")
    before = (folder / "out" / "piece-001.mid").read_bytes()
    with pytest.raises(UserError, match=r"output=out already has piece-001\.mid: give another folder, or overwrite"):
        run("n=1", "output=out", "seed=1", "format=mid")
    assert (folder / "out" / "piece-001.mid").read_bytes() == before
    run("n=1", "output=out", "seed=1", "format=mid", "overwrite=true")
    assert (folder / "out" / "piece-001.mid").read_bytes() != before
    with pytest.raises(UserError, match="is a file: give a folder"):
        run("output=outputs/run/model.safetensors", "overwrite=true")


def test_only_the_formats_asked_for_are_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("n=2", "output=out", "format=musicxml+png")
    assert files(folder / "out") == [f"piece-00{n}.{ending}" for n in (1, 2) for ending in ("musicxml", "png")]
    assert len(read_score(folder / "out" / "piece-001.musicxml")) > 0
    assert "Folder: out (piece-001.png to piece-002.png, .musicxml)" in capsys.readouterr().out


@pytest.mark.parametrize(
    "setting",
    ["format=doc", "overwrite=maybe", "n=0", "n=many", "top_p=0", "max_bars=-1", "seed=x", "prompt=no.mid"],
)
def test_bad_values_are_named_before_anything_is_done(
    folder: Path, capsys: pytest.CaptureFixture[str], setting: str
) -> None:
    with pytest.raises(UserError, match=setting):
        run(setting)
    assert capsys.readouterr().out == ""
    assert files(folder / "outputs") == ["run"]


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "musiclstm.generate", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def test_the_command_ends_in_one_line(folder: Path) -> None:
    (folder / "model.txt").write_text("no model")
    done = command("checkpoint=model.txt")
    assert done.returncode != 0
    assert done.stdout == ""
    assert done.stderr.startswith("musiclstm: model.txt is neither a bundle")
    assert done.stderr.count("\n") == 1
    assert files(folder) == ["model.txt", "outputs"]


def test_a_multirun_has_a_folder_for_each_run(folder: Path) -> None:
    done = command("-m", "seed=0,1", "n=1", "max_tokens=20", "format=mid+png")
    assert done.stderr == ""
    (made,) = (folder / "outputs" / "generated").iterdir()
    assert files(made / "0") == files(made / "1") == ["piece-001.mid", "piece-001.png"]
    assert files(folder) == ["outputs"]


def test_help_says_how(folder: Path) -> None:
    done = command("--help")
    assert "python -m musiclstm.generate prompt=SONG.mid prompt_bars=4" in done.stdout
    assert "top_p: 0.95" in done.stdout
    assert all(len(line) <= 120 for line in done.stdout.splitlines())


def test_settings_are_those_of_the_python_function() -> None:
    parameters = inspect.signature(MusicGenerator.prepare).parameters
    assert set(parameters) == {"self", "n", "state", "constraints", *OPTIONS}
    cfg = config()
    defaults: dict[str, Any] = {name: parameters[name].default for name in OPTIONS}
    assert {name: cfg[name] for name in OPTIONS} == defaults
    assert all(cfg[name] is None for name in CONTROLS)


def test_pieces_are_named_after_the_prompt() -> None:
    assert piece_names(None, 2) == piece_names("random", 2) == ["piece-001", "piece-002"]
    assert piece_names("music/Air on G.mid", 1) == ["Air on G-001"]
