"""The model that comes with the package, and what makes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from safetensors import safe_open

from benchmarks.ship import LARGEST, MARKS, PATH, stripped, texts, write_card
from musiclstm import generate
from musiclstm.commands import CONF_DIR
from musiclstm.errors import UserError
from musiclstm.generation import load
from musiclstm.model.bundle import Bundle
from musiclstm.pretrained import DEFAULT, name_of, pretrained
from tests.generation.models import make_generator

BUNDLE = pretrained()[DEFAULT]


@pytest.fixture
def untrained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder in which nothing was trained."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MUSICLSTM_OUTPUTS", raising=False)
    return tmp_path


def test_it_plays_before_anything_was_trained(untrained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with initialize_config_dir(CONF_DIR, version_base="1.3"):
        generate.main(compose("generate", ["n=1", "seed=1", "bars=2", "format=mid"]))
    said = capsys.readouterr().out
    assert f"Model: {DEFAULT}, which comes with musiclstm; `python -m musiclstm.train` trains one of your own\n" in said
    assert "trained on bach_chorales" in said
    assert len(list(untrained.glob("outputs/generated/*/piece-001.mid"))) == 1


def test_it_is_named(untrained: Path) -> None:
    generator = load(DEFAULT)
    assert generator.path == BUNDLE and name_of(generator.path) == DEFAULT
    (piece,) = generator.generate_scores(1, seed=1, bars=2)
    notes = piece.score.notes
    assert len(piece.score.bar_starts()) == 2 and set(notes["track"]) == {0, 1, 2, 3}
    assert 24 <= notes["pitch"].min() < notes["pitch"].max() <= 96
    with pytest.raises(UserError, match=r"bach_choral does not exist: .* comes with musiclstm .bach_chorales"):
        load("bach_choral")
    (untrained / DEFAULT).write_text("a file of that name")
    with pytest.raises(UserError, match="is neither a bundle"):
        load(DEFAULT)


def test_the_file_is_small_and_knows_no_machine() -> None:
    assert BUNDLE.stat().st_size <= LARGEST
    with safe_open(BUNDLE, framework="pt") as file:
        parts = json.loads(file.metadata()["musiclstm_bundle"])
    assert "store" not in parts["provenance"] and parts["provenance"]["trained_on"] == "bach_chorales"
    assert [text for text in texts(parts) if PATH.search(text)] == []
    model = load(DEFAULT).model
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_its_card_is_that_of_the_file() -> None:
    figures = (BUNDLE.parent / "README.md").read_text(encoding="utf-8").partition(MARKS[0])[2].partition(MARKS[1])[0]
    generator = load(DEFAULT)
    assert f"{generator.model.num_parameters:,} parameters" in figures
    assert f"{BUNDLE.stat().st_size / 1e6:.2f} MB" in figures
    assert f"`{generator.provenance['command']}`" in figures


def bundle(**provenance: Any) -> Bundle:
    made = make_generator()
    return Bundle(made.model, made.tokenizer.to_dict(), {"trained_on": "bach_chorales", **provenance})


def test_what_ships_is_stripped_of_paths() -> None:
    overrides = ["max_minutes=12", "data.folder=/home/somebody/music", "hydra.run.dir='C:\\runs'", "data.lanes=32"]
    found = stripped(bundle(store="/home/somebody/store", overrides=overrides, seed=3))
    assert found == {
        "trained_on": "bach_chorales",
        "overrides": ["max_minutes=12", "data.lanes=32"],
        "command": "python -m musiclstm.train max_minutes=12 data.lanes=32",
        "seed": 3,
    }
    with pytest.raises(UserError, match="names a path"):
        stripped(bundle(teachers=["/models/a.safetensors"]))


@pytest.mark.parametrize("provenance", [{"trained_on": "music"}, {"overrides": ["+split.seed=1"]}])
def test_only_a_corpus_in_its_own_split_ships(provenance: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="in its own split"):
        stripped(bundle(**provenance))


def test_figures_are_written_between_the_marks(tmp_path: Path) -> None:
    card = tmp_path / "card.md"
    card.write_text(f"before\n{MARKS[0]}\nold\n{MARKS[1]}\nafter\n")
    write_card(card, "new")
    assert card.read_text() == f"before\n{MARKS[0]}\nnew\n{MARKS[1]}\nafter\n"
    card.write_text("no marks")
    with pytest.raises(UserError, match="has no lines"):
        write_card(card, "new")
