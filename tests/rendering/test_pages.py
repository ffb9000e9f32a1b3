"""Scores become pages."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from musiclstm.rendering.engraving.musicxml import to_musicxml
from musiclstm.rendering.engraving.pages import pages_available, to_pdf, to_svg
from musiclstm.score import METER, Score, make_notes

if not pages_available():
    pytest.skip("the score extra is not installed", allow_module_level=True)


def piece(bars: int) -> Score:
    start = np.arange(4 * bars) * 720
    return Score(make_notes(start, start + 720, 60 + np.arange(4 * bars) % 13), meters=np.array([(0, 12, 8)], METER))


def test_a_page_is_a4_and_says_what_the_piece_is_called() -> None:
    (page,) = to_svg(to_musicxml(piece(4), title="Études & others"))
    root = ElementTree.fromstring(page)
    assert (root.get("width"), root.get("height")) == ("210mm", "297mm")
    said = "".join("".join(root.itertext()).split())
    assert "Études&others" in said
    assert "=80" in said


def test_metronome_marks_need_no_font() -> None:
    (page,) = to_svg(to_musicxml(piece(4)))
    assert 'font-family="Leipzig"' not in page
    assert not any(0xE000 <= ord(character) <= 0xF8FF for character in page)
    tempo = ElementTree.fromstring(page).find(".//{*}g[@class='tempo']")
    assert tempo is not None
    assert len(tempo.findall("{*}path")) == 2  # the quarter and its dot


def test_long_music_has_several_pages_in_one_pdf(tmp_path: Path) -> None:
    pages = to_svg(to_musicxml(piece(60), title="Long"))
    assert len(pages) >= 2
    pdf = to_pdf(pages)
    assert pdf.startswith(b"%PDF")
    assert b"/Count %d" % len(pages) in pdf
    assert b"CreationDate" not in pdf


def test_the_same_music_gives_the_same_bytes() -> None:
    first, second = (to_svg(to_musicxml(piece(8), title="Same")) for _ in range(2))
    assert first == second
    assert to_pdf(first) == to_pdf(second)
