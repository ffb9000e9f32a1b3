"""Which pieces are wanted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from musiclstm.data.facts import facts
from musiclstm.data.selection import Selection
from musiclstm.errors import UserError
from musiclstm.midi import write_midi
from musiclstm.score import DRUMS, METER, Score, make_notes
from tests.data.folders import dropped, prepared, tune

CHORD = Score(make_notes([0, 0, 0], [960, 960, 960], [60, 64, 67], program=[0, 40, 40]))
WALTZ = CHORD.replace(meters=np.array([(0, 3, 4)], METER))
BEAT = Score(make_notes([0, 480], [10, 490], [36, 38], program=DRUMS))


@pytest.mark.parametrize(
    ("wanted", "score", "why"),
    [
        ({}, CHORD, ""),
        ({"min_seconds": 1.0, "max_seconds": 1.0}, CHORD, ""),
        ({"min_seconds": 1.5}, CHORD, "shorter than 1.5 s"),
        ({"max_seconds": 0.5}, CHORD, "longer than 0.5 s"),
        ({"min_notes": 4}, CHORD, "fewer than 4 notes"),
        ({"max_polyphony": 2}, CHORD, "more than 2 notes at once"),
        ({"min_polyphony": 1}, BEAT, "fewer than 1 notes at once"),
        ({"meters": ["4/4", "6/8"]}, CHORD, ""),
        ({"meters": ["4/4", "6/8"]}, WALTZ, "its meter is 3/4"),
        ({"instruments": ["piano", "strings"]}, CHORD, ""),
        ({"instruments": [0, "40"]}, CHORD, ""),
        ({"instruments": ["piano"]}, CHORD, "other instruments than piano"),
        ({"instruments": ["Drums"]}, BEAT, ""),
        ({"instruments": ["drums"]}, CHORD, "other instruments than drums"),
    ],
)
def test_what_is_refused(wanted: dict[str, object], score: Score, why: str) -> None:
    assert Selection(**wanted).refuse(facts(score)) == why  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ({"min_notes": 5, "max_notes": 4}, r"select.min_notes=5 is above select.max_notes=4"),
        ({"meters": "4/4"}, r"give a list, such as select.meters=\[4/4\]"),
        ({"meters": ["4/5"]}, "write meters like 4/4 or 6/8"),
        ({"instruments": ["kazoo"]}, "'kazoo': give General MIDI programs"),
        ({"instruments": [128]}, "128: give General MIDI programs"),
    ],
)
def test_what_cannot_be_wanted(wanted: dict[str, object], why: str) -> None:
    with pytest.raises(UserError, match=why):
        Selection(**wanted)  # type: ignore[arg-type]


def test_a_folder(tmp_path: Path) -> None:
    root = tmp_path / "music"
    for i in range(6):
        write_midi(tune(i, 20 + 10 * i), root / f"{i}.mid")
    (root / "many.abc").write_text("X:1\nL:1/4\nK:C\nCDEF|\n\nX:2\nL:1/4\nK:C\n" + "GABcdefg|" * 4 + "\n")
    (root / "choice.csv").write_text("who,what\nme,1.mid\nme,4.mid\nme,many.abc\n")
    store = prepared(root, tmp_path / "store", selection=Selection(min_notes=30), shares=(1, 0, 0))
    assert store.names == ["1.mid", "2.mid", "3.mid", "4.mid", "5.mid", "many.abc#2"]
    assert dropped(store) == {"0.mid": ("selection", "fewer than 30 notes")}
    (entry,) = [entry for entry in store.files() if entry["source"] == "many.abc"]
    assert entry["remarks"] == ["1 of its 2 pieces left out (fewer than 30 notes)"]
    chosen = prepared(root, tmp_path / "store", selection_csv="choice.csv", shares=(1, 0, 0))
    assert chosen.names == ["1.mid", "4.mid", "many.abc", "many.abc#2"]
    assert dropped(chosen)["0.mid"] == ("selection", "not named in choice.csv")
    assert [entry["status"] for entry in chosen.files()].count("dropped") == 4
