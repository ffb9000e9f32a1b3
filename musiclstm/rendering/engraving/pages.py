"""Sheet music as pages: SVG by verovio, PDF by typst."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path
from xml.etree import ElementTree

from musiclstm.errors import UserError

WIDTH, HEIGHT = 210, 297  # millimetres: A4
_STAFF = ((4, 8.2), (9, 7.0), (14, 5.8))  # up to so many staves, a tenth of the millimetres between three lines
_SMALLEST = 4.6
_OPTIONS = {
    "pageWidth": 10 * WIDTH,
    "pageHeight": 10 * HEIGHT,
    "pageMarginLeft": 150,
    "pageMarginRight": 150,
    "pageMarginTop": 150,
    "pageMarginBottom": 150,
    "scale": 100,
    "breaks": "auto",
    "header": "encoded",
    "footer": "none",
    "mmOutput": True,
    "smuflTextFont": "none",
    "spacingSystem": 10,
    "minLastJustification": 0.6,
    "xmlIdSeed": 1,
}
_SVG = "http://www.w3.org/2000/svg"
_MUSIC = "Leipzig"  # the font of the notes
_TITLE = 1.7  # as large as other text


def pages_available() -> bool:
    """Whether the `score` extra is installed."""
    return all(find_spec(name) is not None for name in ("verovio", "typst"))


def to_svg(musicxml: bytes) -> list[str]:
    """The A4 pages of a MusicXML file, each an SVG. Raises UserError without the `score` extra."""
    if not pages_available():
        raise UserError('a score needs two more packages: pip install "musiclstm[score]"')
    import verovio

    verovio.enableLog(verovio.LOG_OFF)
    toolkit = verovio.toolkit()
    staves = max(musicxml.count(b"<score-part "), 1)
    unit = next((size for most, size in _STAFF if staves <= most), _SMALLEST)
    toolkit.setOptions({**_OPTIONS, "unit": unit})
    if not toolkit.loadData(musicxml.decode()):
        raise UserError("this MusicXML cannot be engraved")
    return [_finish(toolkit.renderToSVG(number)) for number in range(1, toolkit.getPageCount() + 1)]


def _finish(page: str) -> str:
    """`page` with a larger title, and with the notes in metronome marks drawn: verovio leaves them to a font."""
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", "http://www.w3.org/1999/xlink")
    root = ElementTree.fromstring(page)
    for head in root.iterfind(f".//{{{_SVG}}}g[@class='pgHead']//{{{_SVG}}}tspan[@font-size]"):
        head.set("font-size", f"{_TITLE * float(head.get('font-size', '0').removesuffix('px')):g}px")
    for group in root.iter(f"{{{_SVG}}}g"):
        for text in [t for t in group if t.tag == f"{{{_SVG}}}text"]:
            runs = [run for run in text.iter(f"{{{_SVG}}}tspan") if run.text and run.text.strip()]
            notes = list(takewhile(lambda run: run.get("font-family") == _MUSIC, runs))
            if not notes:
                continue
            x, y = float(text.get("x", 0)), float(text.get("y", 0))
            for run in notes:
                scale = float(run.get("font-size", "0").removesuffix("px")) / 1000
                for character in run.text or "":
                    outline, advance = _glyph(f"{ord(character):04X}")
                    place = f"translate({x:g}, {y:g}) scale({scale:g}, {-scale:g})"
                    if outline:
                        ElementTree.SubElement(group, f"{{{_SVG}}}path", d=outline, transform=place)
                    x += scale * advance
            text.set("x", f"{x:g}")
            for child in list(text):
                text.remove(child)
            for run in runs[len(notes) :]:
                ElementTree.SubElement(text, run.tag, run.attrib).text = run.text
    return ElementTree.tostring(root, encoding="unicode")


@lru_cache
def _glyph(code: str) -> tuple[str, float]:
    """The outline of a glyph in the font of the notes, and how far the pen moves on."""
    data = files("verovio") / "data"
    drawn = ElementTree.fromstring((data / _MUSIC / f"{code}.xml").read_text(encoding="utf-8"))
    boxes = ElementTree.fromstring((data / f"{_MUSIC}.xml").read_text(encoding="utf-8"))
    advance = next(float(box.get("h-a-x", 0)) for box in boxes if box.get("c") == code)
    outline = drawn.find(".//path")
    return ("" if outline is None else outline.get("d", "")), advance


def to_pdf(pages: Sequence[str]) -> bytes:
    """Pages as `to_svg` makes them, as one PDF. Raises UserError without the `score` extra."""
    if not pages_available():
        raise UserError('a score needs two more packages: pip install "musiclstm[score]"')
    import typst

    with tempfile.TemporaryDirectory() as folder:
        lines = [f"#set page(width: {WIDTH}mm, height: {HEIGHT}mm, margin: 0mm)"]
        lines.append("#set document(date: none)")  # so that the same pages are the same bytes
        for number, page in enumerate(pages, 1):
            (Path(folder) / f"{number}.svg").write_text(page, encoding="utf-8")
            lines.append(f'#image("{number}.svg", width: 100%)')
        (Path(folder) / "pages.typ").write_text("\n".join(lines), encoding="utf-8")
        return bytes(typst.compile(os.path.join(folder, "pages.typ")))
