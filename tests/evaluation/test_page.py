from __future__ import annotations

import html
import json
import re

import numpy as np

from musiclstm.evaluation.comparison import HELD_OUT, compare
from musiclstm.evaluation.likelihood import likelihood
from musiclstm.evaluation.originality import originality
from musiclstm.evaluation.page import Sample, page
from musiclstm.score import DRUMS, Score, make_notes
from tests.evaluation.test_likelihood import made, tokenizer


def test_the_page_stands_alone_and_plays_its_samples() -> None:
    of = tokenizer()
    pitch = of.vocabulary.first("Pitch")
    found = likelihood([made("a", [1.0, 2.0], [0, 40], of, notes=1, tokens=[pitch, 2])], of)
    notes = make_notes(np.arange(12) * 480, np.arange(1, 13) * 480, 60 + np.arange(12) % 7)
    notes["program"][3] = DRUMS
    score = Score(notes)
    moved = score.replace(notes=notes[:8])
    (copied,) = originality([("source <1>", score)], [("x", score)])
    samples = [Sample("first & <b>", score, copied), Sample("second", score, None)]
    compared = compare({"samples": [score], HELD_OUT: [score, moved], "training pieces": [moved, moved]})
    text = page("bach & sons", {"Model": "a<b"}, found, {"samples": [copied]}, compared, samples)
    assert not re.search(r"https?://|src=|@import|url\(", text)
    assert "bach &amp; sons" in text and "a&lt;b" in text and "first &amp; &lt;b&gt;" in text and '<b>"' not in text
    assert "source &lt;1&gt;" in text
    assert text.count('class="player"') == 2
    assert text.count('class="copied"') == 1
    assert text.count('class="curve samples"') == text.count('class="curve held-out"') > 0
    assert "Undefined in 5 pieces" in text and "nan" not in text.partition("Metrics of the music")[2].lower()
    assert f"{found.per_note.all:.4f}" in text
    data = re.findall(r'data-notes="([^"]*)"', text)
    played = json.loads(html.unescape(data[0]))
    assert [note[:4] for note in played] == [[i / 2, i / 2 + 0.5, 60 + i % 7, 80] for i in range(12)]
    assert [note[4] for note in played] == [int(i == 3) for i in range(12)]


def test_there_need_be_no_samples() -> None:
    of = tokenizer()
    found = likelihood([made("a", [1.0, 2.0], [0, 40], of, notes=1, tokens=[of.vocabulary.first("Pitch"), 2])], of)
    text = page("x", {}, found, {}, {}, [])
    assert "Listen" not in text and "Originality" not in text and "Metrics" not in text and "AudioContext" not in text
