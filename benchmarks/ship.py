"""Makes the model that comes with the package from a trained one, and writes the figures of its card.

    python benchmarks/ship.py outputs/DAY/TIME [--datasets FOLDER] [--name NAME]

The bundle goes to musiclstm/pretrained/NAME.safetensors, without the paths of the machine that trained it, and in half
precision where that changes validation by less than 0.001 nats per note; it may have 5 MB. What stands between the
marks of the card beside it is written anew, from what `evaluate` says of the very file that ships.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from musiclstm.corpora import CORPORA
from musiclstm.errors import UserError
from musiclstm.files import whole_file
from musiclstm.generation import find_bundle
from musiclstm.leaderboard import command_line
from musiclstm.model.bundle import Bundle, load_bundle, save_bundle
from musiclstm.pretrained import DEFAULT
from musiclstm.tokenizers import from_dict

ROOT = Path(__file__).parents[1]
HOME = ROOT / "musiclstm" / "pretrained"
LARGEST = 5_000_000  # bytes
HALF_COSTS = 0.001  # nats per note at most, or the weights stay in single precision
SAMPLES = 200
MARKS = "<!-- figures: written by benchmarks/ship.py -->", "<!-- end of figures -->"
PATH = re.compile(r"""(?:^|[\s='"\[(,])(?:/|~|[A-Za-z]:[\\/])""")
OTHER_SPLIT = ("split.", "select.", "data.limit", "data.path")


def stripped(bundle: Bundle) -> dict[str, Any]:
    """The provenance without what is of one machine. UserError where the split is not that of the corpus itself."""
    provenance = dict(bundle.provenance)
    trained_on = provenance.get("trained_on")
    overrides = [str(override) for override in provenance.get("overrides", [])]
    changed = [override for override in overrides if override.lstrip("+").startswith(OTHER_SPLIT)]
    if trained_on not in CORPORA or changed:
        what = changed[0] if changed else f"trained on {trained_on}"
        raise UserError(
            f"{what}: a model that ships is trained on one of {', '.join(CORPORA)} in its own split, "
            "which is found again wherever it is measured"
        )
    provenance.pop("store", None)
    provenance["overrides"] = [override for override in overrides if not PATH.search(override)]
    provenance["command"] = command_line(provenance["overrides"])
    left = [text for text in texts([provenance, bundle.tokenizer]) if PATH.search(text)]
    if left:
        raise UserError(f"{left[0]!r} in the bundle names a path: a model that ships must not")
    return provenance


def texts(value: Any) -> Iterator[str]:
    """All strings in what JSON can hold."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from texts([*value.keys(), *value.values()])
    elif isinstance(value, list | tuple):
        for each in value:
            yield from texts(each)


def evaluated(bundle: Path, pieces: str, samples: int, datasets: Path) -> dict[str, Any]:
    """What `evaluate` writes for programs."""
    with tempfile.TemporaryDirectory() as folder:
        settings = [f"checkpoint={bundle}", f"pieces={pieces}", f"samples={samples}", f"data.folder={datasets}"]
        command = [sys.executable, "-m", "musiclstm.evaluate", *settings, f"output={folder}"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            raise UserError(f"evaluate failed: {done.stderr.strip()}")
        found: dict[str, Any] = json.loads((Path(folder) / "evaluation.json").read_text(encoding="utf-8"))
        return found


def convert(bundle: Bundle, path: Path, datasets: Path) -> tuple[str, float, dict[str, Any]]:
    """Writes what ships to `path`; gives its precision, what half precision costs in nats per note, and `evaluate`'s
    findings on the validation pieces."""
    provenance = stripped(bundle)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder) / f"{name}.safetensors" for name in ("float32", "float16")}
        for name, file in files.items():
            model = bundle.model.half() if name == "float16" else bundle.model  # single precision first
            save_bundle(file, model, bundle.tokenizer, provenance)
            found[name] = evaluated(file, "validation", 0, datasets)
        single, half = (found[name]["likelihood"]["per_note"]["all"] for name in files)
        best = "float16" if abs(half - single) < HALF_COSTS else "float32"
        content = files[best].read_bytes()
    if len(content) > LARGEST:
        raise UserError(f"the bundle in {best} has {len(content):,} bytes: at most {LARGEST:,} ship")
    with whole_file(path) as beside:
        beside.write_bytes(content)
    return best, half - single, found[best]


def card(
    bundle: Bundle, path: Path, precision: str, costs: float, found: dict[str, dict[str, Any]], minutes: float | None
) -> str:
    """The figures of the card, as tables. found: what `evaluate` says, by split; the test's has samples."""
    provenance, arguments = bundle.provenance, dict(bundle.model.arguments)
    for known in ("vocab_size", "context_sizes"):
        arguments.pop(known, None)
    took = f"{minutes:.1f} minutes" if minutes is not None else "minutes not recorded"
    rows = {
        "Model": ", ".join(f"{name}={value}" for name, value in arguments.items()),
        "Size": f"{bundle.model.num_parameters:,} parameters, {precision}, {path.stat().st_size / 1e6:.2f} MB",
        "Tokenizer": from_dict(bundle.tokenizer).describe(),
        "Trained on": f"{provenance['pieces']} pieces of {provenance['trained_on']}, none of the other two sets",
        "Command": f"`{provenance['command']}`",
        "Seed and time": f"seed {provenance['seed']}, {took}, best at step {provenance['step']:,}",
        "Made by": f"musiclstm {provenance['version']}, {provenance['date'][:10]}",
        **({"Note": provenance["note"]} if "note" in provenance else {}),
        "Half precision costs": f"{costs:+.1e} nats per note on validation",
    }
    lines = ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())]
    unit = found["test"]["likelihood"]["unit"]
    per_unit = f" | nats per {unit.replace('_', ' and ')} |" if unit else " |"
    lines += ["", f"| set | pieces | nats per note{per_unit}", "|---|---|---|" + "---|" * bool(unit)]
    for split, result in found.items():
        measured = result["likelihood"]
        figures = [measured["per_note"]["all"], *([measured["per_unit"]["all"]] if unit else [])]
        lines.append(f"| {split} | {measured['pieces']} | " + " | ".join(f"{x:.4f}" for x in figures) + " |")
    copies = found["test"]["originality"]
    lines += ["", "| windows that stand in the training pieces | 1 bar | 2 bars | 4 bars | the longest copy |"]
    lines.append("|---|---|---|---|---|")
    for name, kind in (("samples", "chorales by the model"), ("held-out pieces", "chorales by Bach, the test set")):
        pieces = copies[name]["pieces"]
        copy = max((piece["copy"] for piece in pieces if piece["copy"]), key=lambda one: int(one["notes"]))
        longest = f"{copy['notes']} notes in {int(copy['last_bar']) - int(copy['first_bar']) + 1} bars"
        shares = " | ".join(f"{copies[name]['shares'][bars]:.1%}" for bars in ("1", "2", "4"))
        lines.append(f"| {len(pieces)} {kind} | {shares} | {longest}, from {copy['source']} |")
    name, music21 = path.stem, version("music21")
    commands = f"checkpoint={name}`, with `pieces=test samples={SAMPLES}` for the rest"
    lines += ["", f"Measured with music21 {music21} by `python -m musiclstm.evaluate {commands}."]
    return "\n".join(lines)


def write_card(path: Path, figures: str) -> None:
    """Puts the figures between the marks of a card. UserError where it has none."""
    before, first, rest = path.read_text(encoding="utf-8").partition(MARKS[0])
    _, last, after = rest.partition(MARKS[1])
    if not first or not last:
        raise UserError(f"{path} has no lines {MARKS[0]} and {MARKS[1]} for the figures to stand between")
    with whole_file(path) as beside:
        beside.write_text(f"{before}{first}\n{figures}\n{last}{after}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("run", type=Path, help="a bundle, or the folder of a run")
    parser.add_argument("--name", default=DEFAULT, help="of the model that ships")
    parser.add_argument("--datasets", type=Path, default=Path("datasets"), help="where the corpora are prepared")
    parser.add_argument("--minutes", type=float, help="of training, where no result.json beside the bundle says it")
    parser.add_argument("--note", help="what else the bundle and its card should say of its making")
    given = parser.parse_args()
    try:
        source, path, minutes = find_bundle(given.run), HOME / f"{given.name}.safetensors", given.minutes
        result = source.with_name("result.json")
        if minutes is None and result.is_file():
            minutes = json.loads(result.read_text(encoding="utf-8"))["minutes"]
        datasets, bundle = given.datasets.absolute(), load_bundle(source)
        if given.note:
            bundle.provenance["note"] = given.note
        precision, costs, validation = convert(bundle, path, datasets)
        found = {"validation": validation, "test": evaluated(path, "test", SAMPLES, datasets)}
        figures = card(load_bundle(path), path, precision, costs, found, minutes)
        write_card(HOME / "README.md", figures)
    except UserError as error:
        sys.exit(f"ship: {error}")
    print(figures)


if __name__ == "__main__":
    main()
