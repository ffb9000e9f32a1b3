"""Reads the imports of every module and holds the rule that they run downward."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from importlib.util import resolve_name
from pathlib import Path
from typing import NamedTuple

import pytest

import musiclstm

PACKAGE = Path(musiclstm.__file__).parent
LONGEST_FILE = 400  # lines

RUNGS = [  # what stands on a rung imports from lower rungs, and from its own where that makes no circle
    {"errors", "score", "console", "files"},
    {"midi", "notation", "general_midi"},
    {"tokenizers"},
    {"data", "model", "corpora", "pretrained"},
    {"training", "generation", "evaluation", "rendering"},
    {"sources", "explain", "values", "commands", "leaderboard", "sweep", "sharding", "runs"},
]
COMMANDS = {"__main__", "prepare", "train", "generate", "evaluate"}  # nothing imports a command

HYDRA = {"explain", "values", "commands", "leaderboard", "sweep", "sharding", "runs", *COMMANDS}
LIBRARIES = {  # who may import it; type annotations do not count
    "hydra": HYDRA,
    "omegaconf": HYDRA,
    "lightning": {"training", "data.datamodule", "train"},
    "torch": {"data", "model", "training", "generation", "evaluation", "train", "evaluate"},
    "safetensors": {"model", "generation.state"},
    "symusic": {"midi", "tokenizers.miditok_adapter"},
    "pretty_midi": {"midi"},
    "mido": {"midi"},
    "music21": {"notation", "corpora", "rendering.engraving.musicxml"},
    "miditok": {"tokenizers.miditok_adapter"},
    "matplotlib": {"rendering"},
    "midirenderer": {"rendering"},
    "soundfile": {"rendering"},
    "scipy": {"data.published"},
    "verovio": {"rendering.engraving.pages"},
    "typst": {"rendering.engraving.pages"},
    "rich": {"console"},
}


class Import(NamedTuple):
    module: str  # who imports, below musiclstm: "data.store"
    line: int
    name: str  # what it imports, in full: "musiclstm.score.Score", "torch.nn"
    for_types: bool  # stands under `if TYPE_CHECKING`

    @property
    def unit(self) -> str:
        return self.module.partition(".")[0]

    @property
    def inner(self) -> str | None:
        """The unit of musiclstm that is imported."""
        parts = self.name.split(".")
        return parts[1] if parts[0] == "musiclstm" and len(parts) > 1 and parts[1] not in musiclstm.__all__ else None

    @property
    def place(self) -> str:
        return f"musiclstm/{self.module.replace('.', '/')}.py, line {self.line}"


def files() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def imports() -> Iterator[Import]:
    for path in files():
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
        guarded = {
            node
            for branch in ast.walk(tree)
            if isinstance(branch, ast.If) and ast.unparse(branch.test).endswith("TYPE_CHECKING")
            for statement in branch.body
            for node in ast.walk(statement)
        }
        package = f"musiclstm.{module}".rpartition(".")[0]
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                source = resolve_name("." * node.level + (node.module or ""), package)
                names = [f"{source}.{alias.name}" for alias in node.names]
            else:
                continue
            for name in names:
                yield Import(module.removesuffix(".__init__"), node.lineno, name, node in guarded)


def rung(unit: str) -> int:
    return next((i for i, units in enumerate(RUNGS) if unit in units), len(RUNGS))


def test_every_module_has_its_place() -> None:
    units = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in files()}
    strangers = units - COMMANDS.union(*RUNGS)
    assert not strangers, f"give {', '.join(sorted(strangers))} a place in RUNGS of tests/test_layering.py"


def test_imports_run_downward() -> None:
    wrong = [
        f"{i.place}: {i.unit} must not import {i.name}: {'nothing imports a command' if i.inner in COMMANDS else 'up'}"
        for i in imports()
        if i.inner and i.inner != i.unit and (rung(i.inner) > rung(i.unit) or i.inner in COMMANDS)
    ]
    assert not wrong, "imports run downward only:\n" + "\n".join(wrong)


def test_imports_make_no_circle() -> None:
    below: dict[str, set[str]] = {}
    for i in imports():
        if i.inner and i.inner != i.unit:
            below.setdefault(i.unit, set()).add(i.inner)
    circle: list[str] = []
    try:
        TopologicalSorter(below).prepare()
    except CycleError as error:
        circle = error.args[1]
    assert not circle, f"these import each other in a circle: {' <- '.join(circle)}"


def test_libraries_stay_where_they_belong() -> None:
    wrong = []
    for i in imports():
        allowed = LIBRARIES.get(i.name.partition(".")[0])
        if allowed is not None and not i.for_types and not any(f"{i.module}.".startswith(f"{a}.") for a in allowed):
            wrong.append(f"{i.place} imports {i.name}, which only {', '.join(sorted(allowed))} may")
    assert not wrong, "\n".join(wrong)


def test_files_are_short() -> None:
    lengths = {str(path): len(path.read_text(encoding="utf-8").splitlines()) for path in files()}
    long = [f"{path} has {length}" for path, length in lengths.items() if length > LONGEST_FILE]
    assert not long, f"a file has at most {LONGEST_FILE} lines, look for the seam: {'; '.join(long)}"


def test_importing_musiclstm_is_quick() -> None:
    heavy = {*LIBRARIES, "numpy"}
    script = f"import sys, musiclstm, musiclstm.__main__; print(*set(sys.modules).intersection({heavy}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize("name", musiclstm.__all__)
def test_public_names_are_there(name: str) -> None:
    assert getattr(musiclstm, name) is not None
    assert name in dir(musiclstm)


def test_other_names_are_not_there() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        musiclstm.nothing  # noqa: B018
