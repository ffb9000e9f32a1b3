"""`python -m musiclstm` lists the commands."""

from __future__ import annotations

import sys
from importlib.util import find_spec

from musiclstm import __version__
from musiclstm.console import say, warn

COMMANDS = {
    "prepare": ("turn a folder of MIDI, MusicXML, ABC or kern into a note store", "data.path=FOLDER"),
    "train": ("train a model: on Bach's chorales, or on your own folder", "data.path=FOLDER max_minutes=10"),
    "generate": ("write MIDI, pictures, audio and scores with a trained model", "n=4 prompt=SONG.mid prompt_bars=4"),
    "evaluate": ("measure a trained model", "checkpoint=FILE"),
}


def main(arguments: list[str]) -> int:
    """Print the commands, or how a command named in `arguments` is really called; the exit status."""
    commands = {name: texts for name, texts in COMMANDS.items() if find_spec(f"musiclstm.{name}")}
    if arguments and arguments[0] in commands:
        warn(f"musiclstm: use python -m musiclstm.{' '.join(arguments)}")
        return 1
    if arguments and arguments[0] not in ("-h", "--help", "--version"):
        warn(f"musiclstm: there is no command {arguments[0]}: it is one of {', '.join(commands)}")
        return 1
    say(f"musiclstm {__version__}")
    if arguments == ["--version"]:
        return 0
    for name, (purpose, example) in commands.items():
        say(f"\n{name}: {purpose}\n    python -m musiclstm.{name}\n    python -m musiclstm.{name} {example}")
    say("\nEvery command tells its settings: python -m musiclstm.train --help")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
