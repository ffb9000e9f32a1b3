"""What generation must show.

    python benchmarks/generate.py speed      time per token and per note, and what quantising costs
    python benchmarks/generate.py valid      pieces under random constraints, judged by other code
    python benchmarks/generate.py endless    an hour in one stream
    python benchmarks/generate.py infill     likelihood of infilled bars

Each takes `--help`.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

NAMES = ("speed", "valid", "endless", "infill")


def main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in NAMES:
        print(__doc__)
        raise SystemExit(0 if name in ("-h", "--help") else 2)
    raise SystemExit(import_module(f"benchmarks.generate_{name}").main(sys.argv[2:]))


if __name__ == "__main__":
    main()
