from __future__ import annotations

import sys
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib.image
import numpy as np
import pytest

from musiclstm.rendering.piano_roll import piano_roll, piano_roll_figure
from musiclstm.score import DRUMS, Score, make_notes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PolyCollection
    from matplotlib.figure import Figure


@pytest.fixture(autouse=True)
def no_warnings() -> None:
    warnings.simplefilter("error")


def collection(axes: Axes, name: str) -> PolyCollection:
    (found,) = (artist for artist in axes.collections if artist.get_gid() == name)
    return found  # type: ignore[return-value]


def boxes(figure: Figure) -> int:
    return sum(len(collection(axes, "notes").get_paths()) for axes in figure.axes)


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.texts] + [t.get_text() for axes in figure.axes for t in axes.texts]


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def melody(notes: int, **columns: Any) -> Score:
    start = np.arange(notes) * 480
    return Score(make_notes(start, start + 480, 60 + np.arange(notes) % 12, **columns))


def test_every_note_is_a_box_where_it_sounds() -> None:
    figure = piano_roll_figure(Score(make_notes([0, 480], [480, 1440], [60, 67])))
    (axes,) = figure.axes
    spans = [path.get_extents() for path in collection(axes, "notes").get_paths()]
    spans.sort(key=lambda box: box.x0)
    assert spans[0].x0 == pytest.approx(0)
    assert 460 < spans[0].x1 <= 480
    assert spans[1].x0 == pytest.approx(480)
    assert 1420 < spans[1].x1 <= 1440
    rows = [(box.y0 + box.y1) / 2 for box in spans]
    assert rows[1] - rows[0] == pytest.approx(7)


def test_pitches_are_cropped_and_octaves_labelled() -> None:
    (axes,) = piano_roll_figure(Score(make_notes([0, 0], [480, 480], [48, 83]))).axes
    assert axes.get_ylim() == (-0.5, 39.5)
    labels = {label.get_text(): y for label, y in zip(axes.get_yticklabels(), axes.get_yticks(), strict=True)}
    assert labels == {"C3": 2, "C4": 14, "C5": 26, "C6": 38}


@pytest.mark.parametrize("pitch", [0, 21, 61, 66, 127])
def test_one_note_shows_more_than_an_octave(pitch: int) -> None:
    (axes,) = piano_roll_figure(Score(make_notes([0], [1], [pitch]))).axes
    low, high = axes.get_ylim()
    assert high - low >= 20
    (path,) = collection(axes, "notes").get_paths()
    assert low < path.get_extents().y0 < path.get_extents().y1 < high
    assert any(label.get_text().startswith("C") for label in axes.get_yticklabels())


def test_velocity_is_opacity() -> None:
    (axes,) = piano_roll_figure(Score(make_notes([0, 480, 960], [480, 960, 1440], 60, [20, 60, 100]))).axes
    alphas = np.asarray(collection(axes, "notes").get_facecolor())[:, 3]
    assert 0.2 < alphas[0] < alphas[1] < alphas[2] <= 1


def test_voices_have_colours_and_a_legend() -> None:
    figure = piano_roll_figure(melody(4, track=[0, 1, 2, 3]))
    assert legend(figure) == ["voice 1", "voice 2", "voice 3", "voice 4"]
    colours = np.asarray(collection(figure.axes[0], "notes").get_facecolor())[:, :3]
    assert len(np.unique(colours, axis=0)) == 4


def test_bars_are_numbered_above_and_time_runs_below() -> None:
    figure = piano_roll_figure(melody(16))
    (axes,) = figure.axes
    assert axes.get_xlim() == (0, 16 * 480)
    assert [text.get_text() for text in axes.texts] == ["1", "2", "3", "4"]
    assert [label.get_text() for label in axes.get_xticklabels()][:2] == ["0:00", "0:01"]
    assert "16 notes   ·   8.0 s   ·   4 bars   ·   4/4   ·   120 bpm" in texts(figure)


def test_a_long_piece_is_broken_into_systems_of_one_pitch_range() -> None:
    figure = piano_roll_figure(melody(4 * 30))
    assert len(figure.axes) == 3
    assert len({axes.get_ylim() for axes in figure.axes}) == 1
    assert figure.axes[0].get_xlim()[1] == figure.axes[1].get_xlim()[0]
    assert boxes(figure) == 4 * 30


def test_a_note_that_crosses_systems_is_in_both() -> None:
    figure = piano_roll_figure(Score(make_notes([0], [480 * 4 * 30], [60])))
    assert boxes(figure) == len(figure.axes) == 3


def test_the_prompt_is_shaded_and_named() -> None:
    figure = piano_roll_figure(melody(4 * 30), prompt_end=4 * 480 * 14)
    spans = [
        [patch.get_extents().transformed(axes.transData.inverted()) for patch in axes.patches] for axes in figure.axes
    ]
    assert [len(row) for row in spans] == [1, 1, 0]
    assert (spans[0][0].x0, spans[0][0].x1) == pytest.approx((0, 12 * 1920))
    assert (spans[1][0].x0, spans[1][0].x1) == pytest.approx((12 * 1920, 14 * 1920))
    assert texts(figure).count("prompt") == 1
    assert "prompt" not in texts(piano_roll_figure(melody(4)))


def test_what_stands_around_a_hole_is_shaded() -> None:
    figure = piano_roll_figure(melody(4 * 30), prompt_end=4 * 480 * 4, prompt_again=4 * 480 * 14)
    spans = [
        [patch.get_extents().transformed(axes.transData.inverted()) for patch in axes.patches] for axes in figure.axes
    ]
    found = [[(span.x0 / 1920, span.x1 / 1920) for span in row] for row in spans]
    assert [len(row) for row in found] == [1, 1, 1]
    assert [row[0] for row in found] == [pytest.approx(span) for span in ((0, 4), (14, 24), (24, 30))]


def test_drums_have_a_panel_of_their_own_with_their_names() -> None:
    notes = make_notes([0, 0, 480, 960], [480, 10, 490, 970], [60, 36, 38, 42], 80, [0, DRUMS, DRUMS, DRUMS])
    figure = piano_roll_figure(Score(notes))
    keyboard, kit = figure.axes
    assert keyboard.get_position().y0 > kit.get_position().y1
    assert len(collection(keyboard, "notes").get_paths()) == 1
    assert len(collection(kit, "notes").get_paths()) == 3
    assert [label.get_text() for label in kit.get_yticklabels()] == ["Bass Drum", "Acoustic Snare", "Closed Hi-hat"]
    assert legend(figure) == ["Acoustic Grand Piano", "Drums"]


def test_drums_alone_have_no_keyboard() -> None:
    (axes,) = piano_roll_figure(melody(16, program=DRUMS), prompt_end=480).axes
    assert "C4" not in [label.get_text() for label in axes.get_yticklabels()]


def test_music_without_a_beat_shows_seconds_and_no_bars() -> None:
    start = np.sort(np.random.default_rng(0).uniform(0, 19_000, 300)).astype(int)
    figure = piano_roll_figure(Score(make_notes(start, start + 200, 60)))
    (axes,) = figure.axes
    assert axes.get_xlim()[1] == pytest.approx(20, abs=0.5)
    assert len(axes.texts) == 0
    assert not any("bars" in text for text in texts(figure))


def test_an_empty_score_is_a_titled_frame(tmp_path: Path) -> None:
    score = Score(make_notes([], [], []))
    figure = piano_roll_figure(score, title="Nothing")
    assert {"Nothing", "no notes"} <= set(texts(figure))
    assert boxes(figure) == 0
    piano_roll(score, tmp_path / "empty.png", dpi=30)


def test_a_title_is_text_and_not_a_formula_and_fits(tmp_path: Path) -> None:
    title = r"$\frac$ 曲 \U0010fffe" + "x" * 500
    figure = piano_roll_figure(melody(1), title=title)
    shown = figure.texts[0]
    assert shown.get_text().startswith(r"$\frac$")
    assert shown.get_window_extent().x1 < figure.bbox.x1
    piano_roll(melody(1), tmp_path / "a.png", title=title, dpi=30)


def test_many_tracks(tmp_path: Path) -> None:
    score = melody(50, track=np.arange(50) % 25, program=np.arange(50) % 25)
    figure = piano_roll_figure(score, title="Band")
    assert len(legend(figure)) == 25
    inside, panel = figure.legends[0].get_window_extent(), figure.axes[0].get_window_extent()
    assert inside.y0 > panel.y1
    assert inside.x1 < figure.bbox.x1


def test_the_file_is_a_picture_with_the_colour_of_its_notes(tmp_path: Path) -> None:
    path = piano_roll(Score(make_notes([0], [1920], [60], 127)), tmp_path / "new" / "a.png", dpi=60)
    pixels = (matplotlib.image.imread(path)[:, :, :3] * 255).round()
    assert (np.abs(pixels - [0x2F, 0x6F, 0xDE]).max(axis=2) < 3).sum() > 300
    assert [file.name for file in path.parent.iterdir()] == ["a.png"]


def test_nothing_is_left_of_a_picture_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Figure, path: Path, **options: object) -> None:
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", fail)
    (tmp_path / "a.png").write_bytes(b"old")
    with pytest.raises(OSError, match="disk full"):
        piano_roll(melody(1), tmp_path / "a.png")
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"old"]


def test_threads_may_draw_at_once_and_pyplot_is_not_touched(tmp_path: Path) -> None:
    threads = [
        threading.Thread(target=piano_roll, args=(melody(20), tmp_path / f"{i}.png"), kwargs={"dpi": 30})
        for i in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1
    assert len(list(tmp_path.iterdir())) == 4
    pyplot = sys.modules.get("matplotlib.pyplot")  # which some other library may have imported
    assert pyplot is None or not pyplot.get_fignums()
