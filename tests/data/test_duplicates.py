"""What is the same is kept once, and what is nearly the same stands on one side of the split."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from musiclstm.data.grouping import group_by_pattern, groups_of, join_groups
from musiclstm.data.preparation import merge, prepare
from musiclstm.data.store import NoteStore
from musiclstm.errors import UserError
from musiclstm.midi import write_midi
from musiclstm.score import TEMPO, Score
from tests.data.folders import a_folder, dropped, prepared, splits_of, transposed, tune


def sides(store: NoteStore) -> dict[str, set[str]]:
    """The splits in which each tune stands, where names are 'tune/...'."""
    found: dict[str, set[str]] = {}
    for name, split in splits_of(store).items():
        found.setdefault(name.partition("/")[0], set()).add(split)
    return found


def faster(score: Score, microseconds: int) -> Score:
    return score.replace(tempos=np.array([(0, microseconds)], TEMPO))


def test_a_file_under_three_names_is_kept_once(tmp_path: Path) -> None:
    root = a_folder(tmp_path / "music", 8)
    content = (root / "piece 0.mid").read_bytes()
    for name in ("copy.mid", "zz/another name.MID"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(content)
    titled = content[:-4] + b"\x00\xff\x01\x04text" + content[-4:]
    at = content.rindex(b"MTrk") + 4
    length = int.from_bytes(content[at : at + 4], "big")
    (root / "titled.mid").write_bytes(titled[:at] + (length + 8).to_bytes(4, "big") + titled[at + 4 :])
    store = prepared(root, tmp_path / "store")
    assert len(store) == 8
    same = {name for name, (kind, _) in dropped(store).items() if kind == "duplicate"}
    assert same <= {"copy.mid", "zz/another name.MID", "titled.mid", "piece 0.mid"}
    assert len(same) == 3
    assert {reason for _, reason in dropped(store).values()} == {"the same music as copy.mid"}


def test_every_tune_in_twelve_keys(tmp_path: Path) -> None:
    for i in range(16):
        for key in range(12):
            write_midi(transposed(tune(i), key), tmp_path / "music" / f"{i}" / f"{key}.mid")
    store = prepared(tmp_path / "music", tmp_path / "store", shares=(0.6, 0.2, 0.2))
    assert len(store) == 16 * 12
    assert all(len(splits) == 1 for splits in sides(store).values())
    assert {split for splits in sides(store).values() for split in splits} == {"train", "validation", "test"}
    assert len(np.unique(store.pieces["group"])) == 16


def test_the_same_piece_at_three_tempos(tmp_path: Path) -> None:
    for i in range(16):
        for tempo in (400_000, 500_000, 700_000):
            write_midi(faster(tune(i), tempo), tmp_path / "music" / f"{i}" / f"{tempo}.mid")
        score = tune(i)
        twice = score.notes.copy()
        twice["start"], twice["end"] = score.notes["start"] * 2, score.notes["end"] * 2
        write_midi(score.replace(notes=twice), tmp_path / "music" / f"{i}" / "half.mid")
    store = prepared(tmp_path / "music", tmp_path / "store", shares=(0.6, 0.2, 0.2))
    assert len(store) == 16 * 4
    assert all(len(splits) == 1 for splits in sides(store).values())


def test_what_only_the_user_knows(tmp_path: Path) -> None:
    root = tmp_path / "music"
    for i in range(40):
        write_midi(tune(i), root / f"{'abcdefghij'[i % 10]}" / f"{i}.mid")
    store = prepared(root, tmp_path / "store", group_by="^([a-j])/", shares=(0.5, 0.3, 0.2))
    assert all(len(splits) == 1 for splits in sides(store).values())
    assert any(len(splits) > 1 for splits in sides(prepared(root, tmp_path / "other", shares=(0.5, 0.3, 0.2))).values())
    (root / "info.csv").write_text("file,composer\n" + "".join(f"{i}.mid,{i % 10}\n" for i in range(40)))
    by_csv = prepared(root, tmp_path / "csv", csv="info.csv", group_by="composer", shares=(0.5, 0.3, 0.2))
    assert splits_of(by_csv) == splits_of(store)
    with pytest.raises(UserError, match=r"split.group_by='\(' is no regular expression"):
        prepare(root, tmp_path / "bad", group_by="(")


def test_a_csv_may_split_what_is_alike(tmp_path: Path) -> None:
    root = tmp_path / "music"
    lines = ["file,split"]
    for i in range(6):
        for key, split in ((0, "train"), (3, ("validation", "test")[i % 2])):
            write_midi(transposed(tune(i), key), root / f"{i}-{key}.mid")
            lines.append(f"{i}-{key}.mid,{split}")
    write_midi(tune(50), root / "alone.mid")
    (root / "info.csv").write_text("\n".join([*lines, "alone.mid,train\n"]))
    kept = prepared(root, tmp_path / "kept", csv="info.csv")
    assert len(kept) == 13
    safe = prepared(root, tmp_path / "safe", csv="info.csv", leaks="drop")
    assert splits_of(safe) == {name: split for name, split in splits_of(kept).items() if name[1:] != "-0.mid"}
    assert dropped(safe)["1-0.mid"] == ("split", "a near duplicate of 1-3.mid, which is in the test split")
    assert safe.pieces["group"].tolist() == list(range(7))
    with pytest.raises(UserError, match=r"split.leaks is 'some': give keep or drop"):
        prepare(root, tmp_path / "bad", csv="info.csv", leaks="some")


def test_merged_stores_keep_their_splits_and_share_nothing(tmp_path: Path) -> None:
    for name, tunes in (("one", range(12)), ("two", range(8, 20))):
        for i in tunes:
            write_midi(tune(i), tmp_path / name / f"{i}.mid")
    one, two = (prepared(tmp_path / name, tmp_path / f"{name}.store") for name in ("one", "two"))
    both = merge([one.folder, two.folder], tmp_path / "both")
    assert len(both) == 20
    assert len(list(both.files())) == 24
    assert sorted(kind for kind, _ in dropped(both).values()) == ["duplicate"] * 4
    given = {**splits_of(one), **splits_of(two)}
    for i in range(8, 12):  # in both: the test has it, if either does
        name = f"{i}.mid"
        either = [splits_of(store)[name] for store in (one, two)]
        given[name] = max(either, key=["train", "validation", "test"].index)
    assert {name.partition("/")[2]: split for name, split in splits_of(both).items()} == given
    assert {name.partition("/")[0] for name in both.names} == {"one", "two"}
    with pytest.raises(UserError, match=r"1 note stores to merge: give two or more"):
        merge([one.folder], tmp_path / "alone")
    with pytest.raises(UserError, match=r"music: not a note store"):
        merge([one.folder, tmp_path / "music"], tmp_path / "no")


def test_groups() -> None:
    key = group_by_pattern("[A-Z]+")
    assert [key("", name) for name in ("aBCd", "xyz")] == ["BC", None]
    assert groups_of(np.array([5, 0, 7, 5, 0, 7], np.uint64)).tolist() == [0, 1, 2, 0, 4, 2]
    chain = join_groups(np.array([0, 0, 2, 2, 4, 4]), np.array([0, 1, 1, 3, 3, 5]))
    assert chain.tolist() == [0] * 6
