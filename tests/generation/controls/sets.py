"""Sets of settings drawn at random, for tests of plans."""

from __future__ import annotations

from typing import Any

import numpy as np

CHOICES: dict[str, tuple[Any, ...]] = {
    "key": ("C major", "A minor", "F# dorian", "Eb minor pentatonic", "D blues", "G mixolydian", "C whole tone"),
    "pitch_range": ("C3-C5", "48-84", "60-67", "G2-E4"),
    "polyphony": (1, 2, 3, 4, 5),
    "density": ("4-8", "1-3", "6-9", 6, 3, "0-4", "5-5", 2.5, 0.5),
    "rhythm": ("x..x..x.", "x.xx", "xx", "xxxx", "x...", "..x.", "x.x.x.xx"),
    "chords": ("C Am F G", "Dm7 | G7 C", "N C/E Fmaj7", "C"),
    "velocity": ("40-90", "20-30", "100-127"),
    "no_repeat": (1, 2, 3, 4),
    "instruments": ("violin", "piano, cello", "flute"),
    "meter": ("4/4", "3/4", "6/8", "2/4"),
    "tempo": (60, 97.3, 140),
}


def draw_settings(random: np.random.Generator, tokenizer: str) -> dict[str, Any]:
    """What somebody might ask of a tokenizer, in one to three sections; it need not be possible."""
    choices = dict(CHOICES)
    if tokenizer == "performance":
        del choices["meter"], choices["tempo"]
    if tokenizer == "remi":
        choices["instruments"] += ("drums", "violin, drums, cello")

    def some(share: float) -> dict[str, Any]:
        return {
            name: values[int(random.integers(len(values)))]
            for name, values in choices.items()
            if random.random() < share * (2 if name == "meter" else 1)
        }

    settings = some(0.3)
    bars = int(random.integers(1, 9))
    if random.random() < 0.8:
        settings["bars"] = bars
    if "key" in settings and "bars" in settings and random.random() < 0.5:
        settings["ending"] = "tonic"
    if random.random() < 0.4 and bars > 4:
        settings["sections"] = [{"bars": "3-4", **some(0.25)}, {"bars": "5-", **some(0.25)}]
    return settings
