from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra import compose, initialize_config_dir

from musiclstm import evaluate
from musiclstm.commands import CONF_DIR
from musiclstm.data.preparation import prepare
from musiclstm.data.store import NoteStore
from musiclstm.errors import UserError
from musiclstm.midi import write_midi
from musiclstm.model.bundle import save_bundle
from musiclstm.score import Score, make_notes
from musiclstm.tokenizers import from_dict
from tests.data.published_files import write_frames, write_voices
from tests.generation.models import make_generator
from tests.music import chorale


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with a model in outputs/ that says it was trained on this store."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MUSICLSTM_OUTPUTS", raising=False)
    random = np.random.default_rng(0)
    (tmp_path / "music").mkdir()
    for i in range(8):
        write_midi(chorale(random, 16), tmp_path / "music" / f"{i}.mid")
    store = prepare("music", "store", shares=(0.5, 0.5, 0))
    assert store is not None and len(store.split("validation")) == 2
    folder = store.folder
    made = make_generator()
    save_bundle(Path("outputs/run/model.safetensors"), made.model, made.tokenizer.to_dict(), {"store": str(folder)})
    return folder


def run(*overrides: str, samples: int = 0) -> None:
    overrides = (*overrides, f"samples={samples}")
    with initialize_config_dir(CONF_DIR, version_base="1.3"):
        evaluate.main(compose("evaluate", list(overrides)))


def test_it_measures_the_newest_model_on_what_it_was_not_trained_on(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("output=out")
    said = capsys.readouterr().out
    assert "2 pieces" in said and "nats per note" in said and "nats per voice_step" in said
    found = json.loads(Path("out", evaluate.FILE).read_text())
    measured = found["likelihood"]
    assert measured["pieces"] == 2 == len(found["each_piece"])
    assert measured["nats"] == pytest.approx(sum(piece["nats"] for piece in found["each_piece"].values()))
    assert measured["per_note"]["all"] == pytest.approx(measured["nats"] / measured["per_note"]["count"])
    run("output=again")
    assert json.loads(Path("again", evaluate.FILE).read_text()) == found
    run("output=all", "pieces=all")
    assert json.loads(Path("all", evaluate.FILE).read_text())["likelihood"]["pieces"] == 8


def test_pieces_that_cannot_be_said_are_counted(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    notes = make_notes(np.zeros(8), np.full(8, 480), 40 + np.arange(8))  # more than four voices
    write_midi(Score(notes), "music/crowd.mid")
    run("output=out", "data.path=music", "pieces=all")
    assert "Left out: 1 pieces that the tokenizer cannot say" in capsys.readouterr().out
    assert sum(json.loads(Path("out", evaluate.FILE).read_text())["left_out"].values()) == 1


def test_the_benchmarks_are_measured_by_their_own_units(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    piece = [[67, 62, 59, 43], [67, -1, 59, 43], [67, 62, 59, 41]]
    path = write_voices(Path(), [piece], [piece, piece[1:]], [piece[2:]])
    run("output=voices", f"data.path={path}")
    said = capsys.readouterr().out
    voices = json.loads(Path("voices", evaluate.FILE).read_text())["likelihood"]
    assert (voices["unit"], voices["per_unit"]["count"], voices["per_unit_skip_first"]["count"]) == (
        *("voice_step", 4 * 5),
        4 * 3,
    )
    assert voices["per_unit"]["all"] == pytest.approx(voices["nats"] / 20)
    assert "nats per voice_step, skip first" in said
    run("output=short", f"data.path={path}", "pieces=test")  # of one step
    short = json.loads(Path("short", evaluate.FILE).read_text())["likelihood"]
    assert short["per_unit"]["count"] == 4 and short["per_unit_skip_first"] is None
    made = make_generator(from_dict({"name": "frames", "arguments": {"steps_per_quarter": 1}}))
    save_bundle(Path("frames.safetensors"), made.model, made.tokenizer.to_dict(), {})
    path = write_frames(Path("JSB_Chorales.mat"), [[(60,)]], [[(), (60, 64), (), (62,)], [(50,)]], [])
    run("output=frames", f"data.path={path}", "checkpoint=frames.safetensors")
    frames = json.loads(Path("frames", evaluate.FILE).read_text())["likelihood"]
    assert (frames["unit"], frames["per_unit"]["count"], frames["per_unit_skip_first"]["count"]) == ("frame", 5, 3)
    assert frames["per_unit"]["all"] == pytest.approx(frames["nats"] / 5)
    assert frames["per_unit_skip_first"]["all"] < frames["nats"] / 3


def test_what_is_wrong_is_said(store: Path) -> None:
    with pytest.raises(UserError, match="pieces=tset is not possible: give one of train, validation, test, all"):
        run("pieces=tset")
    with pytest.raises(UserError, match="no test piece"):
        run("pieces=test")
    run("output=out")
    with pytest.raises(UserError, match="already has"):
        run("output=out")
    run("output=out", "overwrite=true")
    made = make_generator()
    save_bundle(Path("other.safetensors"), made.model, made.tokenizer.to_dict(), {"store": "gone"})
    with pytest.raises(UserError, match=r"its collection gone is not there: name the music with data\.path"):
        run("checkpoint=other.safetensors")


def test_a_corpus_is_found_by_its_name_where_a_model_names_no_store(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def opened(data: Mapping[str, Any], *_: Any) -> NoteStore:
        asked.append((data["path"], data["corpus"], data["folder"]))
        return NoteStore.open(store)

    monkeypatch.setattr(evaluate, "open_store", opened)
    made = make_generator()
    for name in ("folk_tunes", "noise"):
        save_bundle(Path(f"{name}.safetensors"), made.model, made.tokenizer.to_dict(), {"trained_on": name})
    run("checkpoint=folk_tunes.safetensors", "output=a", "data.folder=kept")
    run("checkpoint=folk_tunes.safetensors", "output=b", "data.path=other")
    assert asked == [(None, "folk_tunes", "kept"), ("other", None, "datasets")]
    with pytest.raises(UserError, match="does not say what it was trained on"):
        run("checkpoint=noise.safetensors")


def test_samples_are_held_against_what_was_learned_from(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("output=out", samples=2)
    said = capsys.readouterr().out
    assert "longest of the samples: " in said and "longest of the held-out pieces: " in said
    found = json.loads(Path("out", evaluate.FILE).read_text())["originality"]
    assert [piece["name"] for piece in found["samples"]["pieces"]] == ["sample 1", "sample 2"]
    assert found["held-out pieces"]["shares"].keys() == {"1", "2", "4"}
    assert "Metrics of the music" in said and "pitch-class entropy" in said
    entropy = json.loads(Path("out", evaluate.FILE).read_text())["metrics"]["pitch_class_entropy"]
    assert [(name, figures["pieces"]) for name, figures in entropy.items()] == [
        ("held-out pieces", 2),
        ("samples", 2),
        ("training pieces", 6),
    ]
    assert "Metrics of the music" in Path("out", evaluate.PAGE).read_text()
    run("output=train", "pieces=train", samples=2)  # what was learned from is held out of nothing
    found = json.loads(Path("train", evaluate.FILE).read_text())
    assert found["originality"].keys() == {"samples"} and found["metrics"] == {}
