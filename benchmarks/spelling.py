"""How many notes of Bach's chorales keep their names when they are written down again from their pitches alone.

python benchmarks/spelling.py

Reads the four-part chorales that music21 carries as training does, writes each as MusicXML, and compares what music21
reads from it with the original, note by note: the name, and whether an accidental is printed.
"""

from __future__ import annotations

import argparse
from collections import Counter
from typing import Any

from musiclstm.console import progress
from musiclstm.corpora import CORPORA, _files, read_chorale
from musiclstm.errors import FileError
from musiclstm.rendering.engraving.musicxml import to_musicxml


def note_names(score: Any) -> list[tuple[int, float, int, str, bool]]:
    """Part, onset in quarters, MIDI pitch, name, and whether an accidental is printed, of each note in `score`."""
    found = []
    parts = [part for part in score.parts if part.recurse().notes]
    for number, part in enumerate(parts):
        for note in part.stripTies().flatten().notes:
            for pitch in note.pitches:
                printed = bool(pitch.accidental and pitch.accidental.displayStatus)
                found.append((number, float(note.offset), pitch.midi, pitch.nameWithOctave, printed))
    return found


def signature(score: Any) -> int:
    """The sharps of the first key signature, or the flats as a negative number."""
    found = next(iter(score.recurse().getElementsByClass("KeySignature")), None)
    return found.sharps if found is not None else 0


def main() -> None:
    """Prints the shares."""
    from music21 import converter

    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    arguments.add_argument("--limit", type=int, help="only so many chorales")
    limit = arguments.parse_args().limit
    files = _files(CORPORA["bach_chorales"])[:limit]
    count: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    with progress("Chorales", len(files), unit="files") as bar:
        for file in files:
            bar.advance()
            try:
                (score,) = read_chorale(file.path)
            except FileError:  # not for four voices
                continue
            original = converter.parse(file.path, forceSource=True, storePickle=False)
            ours = converter.parseData(to_musicxml(score).decode(), format="musicxml")
            same_key = signature(original) == signature(ours)
            theirs = {(part, onset, midi): rest for part, onset, midi, *rest in note_names(original)}
            count["chorales"] += 1
            count["same signature"] += same_key
            for part, onset, midi, name, printed in note_names(ours):
                if (part, onset, midi) not in theirs:
                    count["not in the original at this place"] += 1
                    continue
                named, shown = theirs[part, onset, midi]
                count["notes"] += 1
                count["same name"] += name == named
                count["notes under the same signature"] += same_key
                count["accidental printed or not as there"] += same_key and printed == shown
                if name != named:
                    wrong[f"{named} written {name}"] += 1
    for what, of in (
        ("same name", "notes"),
        ("same signature", "chorales"),
        ("accidental printed or not as there", "notes under the same signature"),
    ):
        print(f"{what}: {count[what]:,} of {count[of]:,} {of} ({100 * count[what] / count[of]:.2f} %)")
    print(f"not in the original at this place: {count['not in the original at this place']:,}")
    print("  ".join(f"{what}: {n}" for what, n in wrong.most_common(10)))


if __name__ == "__main__":
    main()
