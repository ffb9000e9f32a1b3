"""What the commands that use a model share: the model in some lines, and a folder for what they write."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from musiclstm.pretrained import name_of

if TYPE_CHECKING:
    from musiclstm.generation import MusicGenerator


def describe(generator: MusicGenerator) -> str:
    """The model in some lines: which file it is, what it was trained on and how well it did."""
    provenance = generator.provenance
    facts = []
    if "trained_on" in provenance:
        pieces = f" ({provenance['pieces']:,} pieces)" if "pieces" in provenance else ""
        facts.append(f"trained on {provenance['trained_on']}{pieces}")
    scores = [
        f"{value:.3f} nats per {name.removeprefix('val/nats_per_').replace('_', '-')}"
        for name, value in provenance.items()
        if name.startswith("val/nats_per_")
    ]
    if scores:
        facts.append(f"validation {', '.join(scores)}")
    shipped = name_of(generator.path)
    which = str(generator.path)
    if shipped is not None:
        which = f"{shipped}, which comes with musiclstm; `python -m musiclstm.train` trains one of your own"
    return "\n  ".join([f"Model: {which}", generator.tokenizer.describe(), *([", ".join(facts)] if facts else [])])


def new_folder(parent: Path) -> Path:
    """A folder named after the time, or in a multirun the run's own."""
    if HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN:
        return Path(HydraConfig.get().runtime.output_dir)
    name = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    number = 1
    while (path := parent / (name if number == 1 else f"{name}-{number}")).exists():
        number += 1
    return path
