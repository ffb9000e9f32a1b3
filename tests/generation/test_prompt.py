from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pretty_midi
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from musiclstm.errors import UserError
from musiclstm.generation import Generated
from musiclstm.generation.prompt import Prompt, read_prompt
from musiclstm.midi import from_pretty_midi, read_score, write_midi
from musiclstm.score import DRUMS, METER, PEDAL, TEMPO, Score, make_notes
from musiclstm.tokenizers import Tokenizer
from musiclstm.tokenizers.performance import Performance
from musiclstm.tokenizers.remi import Remi
from musiclstm.tokenizers.voices import Voices
from tests.generation.models import NATIVE, favour, make_generator, make_tokenizer
from tests.strategies import scores


def piece(ticks_per_quarter: int = 480, pickup: bool = False, loose: bool = True) -> Score:
    """Two tracks of ten bars or so, with changes of tempo, meter and velocity, a pedal, and notes off the grid."""
    random = np.random.default_rng(3)
    quarter = ticks_per_quarter
    columns = []
    for track, (program, lowest) in enumerate(((40, 60), (42, 40))):
        start = track * quarter
        while start < 36 * quarter:
            length = int(random.integers(1, 9)) * quarter // 4
            late = int(random.integers(-quarter // 10, quarter // 10 + 1)) if loose and start else 0
            pitch, velocity = lowest + int(random.integers(0, 12)), int(random.integers(1, 128))
            columns.append((start + late, start + length, pitch, velocity, program, track))
            start += length
    return Score(
        make_notes(*np.array(columns).T),
        quarter,
        np.array([(0, 612_345), (5 * quarter + 3, 398_765), (30 * quarter, 500_000)], TEMPO),
        np.array([(0, 3, 4), ((12 + pickup) * quarter, 4, 4), ((32 + pickup) * quarter, 3, 4)], METER),
        np.array([(0, 2 * quarter, 0), (6 * quarter, 7 * quarter, 1)], PEDAL),
        first_bar=quarter if pickup else 0,
    )


def check_opening(prompt: Score, generated: Generated) -> None:
    """The piece begins as the prompt does up to `prompt_end`, but that held notes may end where theirs begin again."""
    cut, score = generated.prompt_end, generated.score
    assert cut is not None
    assert score.ticks_per_quarter == prompt.ticks_per_quarter
    assert score.first_bar == prompt.first_bar
    for events, own in ((prompt.tempos, score.tempos), (prompt.meters, score.meters)):
        assert own[own["tick"] < cut].tolist() == events[events["tick"] < cut].tolist()
    old, new = (notes[notes["start"] < cut] for notes in (prompt.notes, score.notes))
    names = ["start", "track", "program", "pitch", "velocity"]
    assert new[names].tolist() == old[names].tolist()
    for before, after in zip(old, new, strict=True):
        if before["end"] != after["end"]:
            later = score.notes[score.notes["start"] == after["end"]][["track", "program", "pitch"]]
            assert cut <= after["end"] < before["end"]
            assert after[["track", "program", "pitch"]] in later
    assert (score.notes["start"] >= cut).any()


@pytest.mark.parametrize("ticks_per_quarter", [7, 96, 1000, 1024])
@pytest.mark.parametrize("name", NATIVE)
def test_the_opening_stays_note_for_note(name: str, ticks_per_quarter: int) -> None:
    prompt = piece(ticks_per_quarter, pickup=ticks_per_quarter == 96)
    generator = make_generator(name)
    extents: list[dict[str, Any]] = [{"prompt_bars": 3}, {"prompt_seconds": 5.3}, {}]
    for seed, extent in enumerate(extents):
        for generated in generator.generate_scores(2, seed=seed, prompt=prompt, max_tokens=60, **extent):
            check_opening(prompt, generated)


@pytest.mark.parametrize("name", ["performance", "remi"])
@settings(max_examples=25, deadline=None)
@given(score=scores(latest=30), more=st.integers(1, 5), seed=st.integers(0, 9))
def test_any_opening_stays_note_for_note(name: str, score: Score, more: int, seed: int) -> None:
    generator = make_generator(name)
    assume(generator.tokenizer.admits(score) is None)
    assume(score.tempos["microseconds"].min() >= 1000)  # below, a second may have more ticks than a file
    silent = int((score.bar_starts() <= score.notes["start"][0]).sum()) - (score.first_bar > 0)
    (generated,) = generator.generate_scores(1, seed=seed, prompt=score, prompt_bars=silent + more, max_tokens=6)
    check_opening(score, generated)


def test_a_tempo_that_leaves_no_room_is_refused() -> None:
    fastest = np.array([(0, 1)], TEMPO)
    score = Score(make_notes([0], [1], 60), 32767, tempos=fastest)
    with pytest.raises(UserError, match=r"the prompt's last tempo is too fast to go on in seconds"):
        make_generator("performance").generate_scores(1, prompt=score, max_tokens=200)


def test_real_files_are_continued(data_folder: Path) -> None:
    for name, folder in (("performance", "maestro_v2"), ("remi", "pop909"), ("frames", "piano_midi_de")):
        file = min((data_folder / folder).rglob("*.mid*"))
        (generated,) = make_generator(name).generate_scores(1, prompt=file, prompt_seconds=20, max_tokens=40)
        check_opening(read_score(file), generated)


def test_bars_are_counted_after_a_pickup() -> None:
    score = piece(pickup=True)
    assert read_prompt(score, make_tokenizer("remi"), bars=3).cut == 10 * 480
    assert read_prompt(piece(), make_tokenizer("remi"), bars=5).cut == 16 * 480
    assert read_prompt(piece(), make_tokenizer("remi"), bars=99).cut == piece().end


def test_seconds_are_cut_to_the_tick() -> None:
    score = piece()
    cut = read_prompt(score, make_tokenizer("voices"), seconds=5.3).cut
    assert score.seconds(cut - 1) < 5.3 <= score.seconds(cut) + 1e-9


@pytest.mark.parametrize("kind", ["path", "text", "score", "pretty_midi"])
def test_any_kind_of_prompt(kind: str, tmp_path: Path) -> None:
    write_midi(piece(), tmp_path / "song.mid")
    prompts: dict[str, Any] = {
        "path": tmp_path / "song.mid",
        "text": str(tmp_path / "song.mid"),
        "score": piece(),
        "pretty_midi": pretty_midi.PrettyMIDI(str(tmp_path / "song.mid")),
    }
    generated = make_generator().generate_scores(1, prompt=prompts[kind], prompt_bars=2, max_tokens=40)[0]
    check_opening(piece(), generated)


def test_the_midi_file_begins_as_the_prompt_does(tmp_path: Path) -> None:
    write_midi(piece(), tmp_path / "song.mid")
    prompt = read_score(tmp_path / "song.mid")
    midi = make_generator().generate(prompt=tmp_path / "song.mid", prompt_bars=4, max_tokens=80)
    midi.write(str(tmp_path / "more.mid"))
    for score in (from_pretty_midi(midi), read_score(tmp_path / "more.mid")):
        cut = 12 * 480
        sounds_on = score.notes["end"] > cut
        old = prompt.notes[prompt.notes["start"] < cut]
        new = score.notes[score.notes["start"] < cut]
        names = ["start", "track", "program", "pitch", "velocity"]
        assert new[names].tolist() == old[names].tolist()
        assert new[new["end"] <= cut].tolist() == score.notes[~sounds_on & (score.notes["start"] < cut)].tolist()


def prompt_of(tokenizer: Tokenizer, score: Score, bars: int | None = None) -> Prompt:
    return read_prompt(score, tokenizer, bars)


def test_steps_become_the_ticks_of_the_prompt() -> None:
    score = Score(make_notes([0, 960], [960, 1920], [60, 62], 80, 7, 3), 480, np.array([(0, 1_000_000)], TEMPO))
    prompt = prompt_of(Voices(), score)
    assert (prompt.cut, prompt.step, prompt.pace) == (1920, 16, 0.5)
    written = Score(make_notes([0, 8, 16, 19], [8, 16, 19, 24], [60, 62, 64, 65]), 4)
    joined = prompt.continued_by(written)
    assert joined.notes.tolist() == [
        *score.notes.tolist(), (1920, 2280, 3, 7, 64, 80), (2280, 2880, 3, 7, 65, 80)
    ]  # fmt: skip
    assert joined.tempos.tolist() == [(0, 1_000_000)]


def test_seconds_become_the_ticks_of_the_prompt() -> None:
    score = Score(make_notes([0], [960], [60], 80, 7, 3), 480, np.array([(0, 500_000), (480, 1_000_000)], TEMPO))
    prompt = prompt_of(Performance(), score)
    assert (prompt.cut, prompt.step, prompt.pace) == (960, 150, 1.0)
    written = Score(make_notes([0, 150, 200], [150, 175, 250], [60, 64, 65], [80, 42, 43]), 50)
    joined = prompt.continued_by(written)
    assert joined.notes[1:].tolist() == [(960, 1080, 3, 7, 64, 42), (1200, 1440, 3, 7, 65, 43)]


def test_a_held_note_ends_only_where_its_pitch_begins_again() -> None:
    score = Score(make_notes([0, 0, 0], [2880, 2880, 2880], [60, 64, 67]), 480)
    prompt = prompt_of(Remi(steps_per_quarter=4), score, bars=1)
    written = Score(make_notes([0, 0, 0, 18, 16], [24, 24, 24, 20, 17], [60, 64, 67, 64, 72]), 4)
    joined = prompt.continued_by(written).notes
    assert {(int(n["pitch"]), int(n["start"]), int(n["end"])) for n in joined} == {
        (60, 0, 2880), (64, 0, 2160), (64, 2160, 2400), (67, 0, 2880), (72, 1920, 2040)
    }  # fmt: skip


def test_a_note_just_before_the_cut_is_not_heard_twice() -> None:
    score = Score(make_notes([0, 1900, 1900], [480, 2400, 2400], [60, 64, 66]), 480)
    score = score.replace(notes=np.concatenate([score.notes, make_notes([4000], [4100], [60])]))
    prompt = prompt_of(Remi(steps_per_quarter=4), score, bars=1)
    assert prompt.step == 16
    written = Score(make_notes([0, 16, 16, 20], [4, 18, 18, 22], [60, 64, 65, 64]), 4)
    joined = prompt.continued_by(written).notes
    assert joined[["start", "end", "pitch"]].tolist() == [
        (0, 480, 60), (1900, 2400, 64), (1900, 2400, 66), (1920, 2160, 65), (2400, 2640, 64)
    ]  # fmt: skip


def test_voices_go_on_in_their_tracks() -> None:
    notes = make_notes([0, 0, 1920], [1920, 1920, 3840], [72, 48, 60], 80, [40, 42, 41], [2, 9, 5])
    prompt = prompt_of(Voices(4), Score(notes, 480), bars=1)
    written = Score(make_notes([16] * 4, [20] * 4, [70, 60, 50, 40], 80, 0, [0, 1, 2, 3]), 4)
    new = prompt.continued_by(written).notes[2:]
    assert new[["pitch", "track", "program"]].tolist() == [(70, 2, 40), (60, 5, 41), (50, 9, 42), (40, 10, 0)]


def test_programs_go_on_in_their_tracks() -> None:
    notes = make_notes([0, 0, 0], [1920] * 3, [72, 48, 36], 80, [40, 0, DRUMS], [4, 1, 7])
    prompt = prompt_of(Remi(), Score(notes, 480))
    programs = [0, 40, 56, DRUMS]  # a trumpet is new, and moves the tracks, which go by program
    written = Score(make_notes([48] * 4, [60] * 4, [50, 51, 52, 53], 80, programs, [0, 1, 2, 3]), 12)
    new = prompt.continued_by(written).notes[3:]
    assert sorted(new[["program", "track"]].tolist()) == [(0, 1), (40, 4), (56, 8), (DRUMS, 7)]


def test_new_tempos_and_meters_are_placed() -> None:
    prompt = prompt_of(Remi(steps_per_quarter=4), piece(), bars=4)
    tempos = np.array([(0, 610_000), (20, 400_000), (48, 500_000), (54, 600_000)], TEMPO)
    meters = np.array([(0, 3, 4), (60, 2, 4)], METER)
    written = Score(make_notes([0, 50, 80], [4, 60, 84], [60, 60, 60]), 4, tempos, meters)
    joined = prompt.continued_by(written)
    assert joined.tempos.tolist()[2:] == [(48 * 120, 500_000), (54 * 120, 600_000)]
    assert joined.meters.tolist() == [(0, 3, 4), (60 * 120, 2, 4)]


def test_limits_count_what_comes_after_the_prompt() -> None:
    generator = favour(make_generator("voices"), EOS=-99, TimeSignature=-99)
    score = piece()
    for generated in generator.generate_scores(2, prompt=score, prompt_bars=4, max_bars=2):
        new = generated.score.notes[generated.score.notes["start"] >= 12 * 480]
        assert 17 * 480 < new["end"].max() <= 18 * 480
    for generated in generator.generate_scores(2, prompt=score, prompt_bars=4, max_seconds=3):
        new = generated.score.notes[generated.score.notes["start"] >= 12 * 480]
        lasted = generated.score.seconds(new["end"].max()) - generated.score.seconds(12 * 480)
        assert 2.5 < lasted <= 3


def test_something_always_follows() -> None:
    for name in NATIVE:
        generator = favour(make_generator(name), EOS=99, NoteOff=5)
        (generated,) = generator.generate_scores(1, prompt=piece(), prompt_bars=4)
        assert generated.prompt_end == 12 * 480
        assert (generated.score.notes["start"] >= 12 * 480).any()
        assert generated.ended


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prompt": piece(), "prompt_bars": 0}, "prompt_bars=0"),
        ({"prompt": piece(), "prompt_seconds": -1}, "prompt_seconds=-1 .* above 0"),
        ({"prompt": piece(), "prompt_bars": 1, "prompt_seconds": 1}, "exclude each other"),
        ({"prompt": piece(), "prompt_tokens": 4}, "prompt_tokens=4 .* prompt=random"),
        ({"prompt_bars": 1}, "prompt_bars=1 .* prompt=FILE"),
        ({"prompt_seconds": 1}, "prompt_seconds=1 .* prompt=FILE"),
        ({"prompt": "random", "prompt_bars": 1}, "prompt_bars=1"),
        ({"prompt": "random", "prompt_tokens": 0}, "prompt_tokens=0"),
        ({"prompt": "absent.mid"}, r"^prompt=absent\.mid: "),
        ({"prompt": Score(make_notes([0], [9], [60], 80, DRUMS))}, "drums, which this model's tokenizer .* cannot say"),
        ({"prompt": Score(make_notes([99_999], [99_999_9], [60])), "prompt_bars": 1}, "prompt_bars=1: no note"),
    ],
)
def test_bad_prompts_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make_generator().generate(**arguments)


def test_a_text_file_is_no_prompt(tmp_path: Path) -> None:
    (tmp_path / "song.mid").write_text("la la la")
    with pytest.raises(UserError, match=r"^prompt=.*song\.mid: not a sound MIDI file"):
        make_generator().generate(prompt=tmp_path / "song.mid")
