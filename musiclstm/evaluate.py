"""The command that measures a trained model: python -m musiclstm.evaluate"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musiclstm.commands import command
from musiclstm.console import progress, say
from musiclstm.errors import UserError
from musiclstm.files import whole_file
from musiclstm.runs import describe, new_folder
from musiclstm.sources import open_store

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from musiclstm.data.store import NoteStore
    from musiclstm.evaluation.comparison import Comparison
    from musiclstm.evaluation.likelihood import Likelihood
    from musiclstm.evaluation.originality import Originality
    from musiclstm.generation import MusicGenerator
    from musiclstm.score import Score

FILE, PAGE = "evaluation.json", "evaluation.html"
SHOWN = 8  # samples on the page
SPLITS = ("train", "validation", "test")


@command("evaluate")
def main(cfg: DictConfig) -> None:
    """Reads the pieces, prints what the model makes of them, and writes it as JSON."""
    from musiclstm.evaluation import comparison
    from musiclstm.evaluation.likelihood import likelihood
    from musiclstm.evaluation.originality import shares
    from musiclstm.evaluation.page import Sample, page
    from musiclstm.evaluation.reading import read_pieces
    from musiclstm.generation import load, outputs_folder

    generator = load(cfg.checkpoint, device=cfg.device)
    folder = Path(cfg.output) if cfg.output else new_folder(outputs_folder() / "evaluated")
    if (folder / FILE).exists() and cfg.overwrite is not True:
        raise UserError(f"output={folder} already has {FILE}: give another folder, or overwrite=true")
    store = _store(cfg, generator)
    pieces, refused = _admitted(store, cfg.pieces, generator)
    say(describe(generator))
    with progress("Reading", len(pieces), unit="pieces") as bar:
        read = list(read_pieces(generator.model, generator.tokenizer, pieces, bar.advance))
    found = likelihood(read, generator.tokenizer)
    for line in table(found):
        say(line)
    made = _written(generator, cfg.samples, cfg.seed)
    copies: dict[str, list[Originality]] = {}
    compared: Comparison = {}
    if made:
        trained, held_out = _kept(store, pieces, generator)
        copies, compared = _copies(trained, held_out, made), _compared(trained, held_out, made)
    for line in copied_table(copies):
        say(line)
    for line in comparison.table(compared) if compared else ():
        say(line)
    for reason, count in refused.items():
        say(f"Left out: {count:,} pieces that the tokenizer cannot say ({reason})")
    result: dict[str, Any] = {
        "model": str(generator.path),
        "provenance": generator.provenance,
        "tokenizer": generator.tokenizer.to_dict(),
        "parameters": generator.model.num_parameters,
        "collection": str(store.folder),
        "pieces": cfg.pieces,
        "left_out": refused,
        "likelihood": found.to_dict(),
        "originality": {
            name: {"shares": shares(each), "pieces": [asdict(one) for one in each]} for name, each in copies.items()
        },
        "metrics": {
            metric: {name: figures.to_dict() for name, figures in sets.items()} for metric, sets in compared.items()
        },
        "each_piece": {piece.name: {"nats": float(piece.nats.sum()), "notes": piece.notes} for piece in read},
    }
    with whole_file(folder / FILE) as path:
        text = json.dumps(result, default=str)  # in which NaN stands for what is not defined, and JSON has none
        result = json.loads(text, parse_constant=lambda _: None)
        path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    facts = {
        "Model": str(generator.path),
        "Tokenizer": generator.tokenizer.describe(),
        "Parameters": f"{generator.model.num_parameters:,}",
        "Trained on": str(generator.provenance.get("trained_on", "unknown music")),
        "Measured on": f"{len(pieces):,} pieces ({cfg.pieces}) of {store.folder}",
    }
    samples = [
        Sample(name, score, one)
        for (name, score), one in zip(made, copies.get("samples", [None] * len(made)), strict=True)
    ]
    with whole_file(folder / PAGE) as path:
        path.write_text(page(facts["Trained on"], facts, found, copies, compared, samples[:SHOWN]), "utf-8")
    say(f"Folder: {folder} ({FILE}, {PAGE})")


def _store(cfg: DictConfig, generator: MusicGenerator) -> NoteStore:
    from musiclstm.corpora import CORPORA
    from musiclstm.data.store import NoteStore

    known, corpus = generator.provenance.get("store"), generator.provenance.get("trained_on")
    data = cfg.data
    if data.path is None and data.corpus is None and known is None and corpus in CORPORA:
        data = {**data, "corpus": corpus}  # which is the same on every machine, as no store is
    if data["path"] is not None or data["corpus"] is not None:
        store = open_store(data, cfg.split, cfg.select, cfg.prepare)
        assert store is not None  # that is for shards
        return store
    if known is None or not Path(known).is_dir():
        where = f"its collection {known} is not there" if known else "the model does not say what it was trained on"
        raise UserError(f"{where}: name the music with data.path=FOLDER, or data=bach_chorales")
    return NoteStore.open(Path(known))


def _admitted(store: NoteStore, which: str, generator: MusicGenerator) -> tuple[list[Any], dict[str, int]]:
    """The named pieces that the tokenizer can say, and of the others how many cannot be said for which reason."""
    if which not in (*SPLITS, "all"):
        raise UserError(f"pieces={which} is not possible: give one of {', '.join(SPLITS)}, all")
    pieces, refused = [], dict[str, int]()
    indices = range(len(store)) if which == "all" else store.split(which)
    for index in map(int, indices):
        score = store[index]
        reason = generator.tokenizer.admits(score)
        if reason is None:
            pieces.append((store.name(index), score))
        else:
            refused[reason] = refused.get(reason, 0) + 1
    if not pieces:
        asked = "no piece" if which == "all" else f"no {which} piece"
        raise UserError(
            f"{store.folder} has {asked} that the model's tokenizer can say: give pieces=all or other music with "
            "data.path=FOLDER"
        )
    return pieces, refused


def _written(generator: MusicGenerator, samples: int, seed: int) -> list[tuple[str, Score]]:
    """Pieces that the model writes, named."""
    from musiclstm.generation.sampling import check_whole

    check_whole("samples", samples, least=0)
    if samples == 0:
        return []
    with progress("Writing", samples, unit="samples") as bar:
        made = generator.generate_scores(samples, seed=seed, on_end=bar.advance)
    return [(f"sample {number}", piece.score) for number, piece in enumerate(made, 1)]


def _kept(
    store: NoteStore, pieces: list[tuple[str, Score]], generator: MusicGenerator
) -> tuple[dict[str, Score | None], dict[str, Score]]:
    """The training pieces by name, None those that the tokenizer cannot say, and of the pieces measured those that are
    held out; all as the tokenizer keeps music."""
    quantise, admits = generator.tokenizer.quantise, generator.tokenizer.admits
    trained: dict[str, Score | None] = {}
    for index in map(int, store.split("train")):
        score = store[index]
        trained[store.name(index)] = quantise(score) if admits(score) is None else None
    return trained, {name: quantise(score) for name, score in pieces if name not in trained}


def _copies(
    trained: dict[str, Score | None], held_out: dict[str, Score], made: list[tuple[str, Score]]
) -> dict[str, list[Originality]]:
    """Of pieces that the model wrote, and of those held out, what they have from the training pieces."""
    from musiclstm.evaluation.originality import originality

    known = [(name, score) for name, score in trained.items() if score is not None]
    if not known:
        return {}
    found = originality(known, [*made, *held_out.items()])
    sets = {"samples": found[: len(made)], "held-out pieces": found[len(made) :]}
    return {name: each for name, each in sets.items() if each}


def _compared(
    trained: dict[str, Score | None], held_out: dict[str, Score], made: list[tuple[str, Score]]
) -> Comparison:
    """Pieces that the model wrote and training pieces as music, each beside those held out; nothing without those."""
    from musiclstm.evaluation.comparison import HELD_OUT, compare, spaced

    if not held_out:
        return {}
    sets = {HELD_OUT: spaced(list(held_out.values())), "samples": [score for _, score in made]}
    known = [score for score in spaced(list(trained.values())) if score is not None]
    return compare(sets | ({"training pieces": known} if known else {}))


def copied_table(copies: dict[str, list[Originality]]) -> list[str]:
    """The share of copied windows and the longest copy of each set of pieces, as lines for the screen."""
    from musiclstm.evaluation.originality import WINDOWS, percent, shares

    if not copies:
        return []
    lines = ["Bars that stand in the training pieces, in any key and tempo"]
    lines.append(f"  {'':18}" + "".join(f"{bars:>14}" for bars in WINDOWS.values()))
    for name, found in copies.items():
        lines.append(f"  {name:18}" + "".join(f"{percent(share):>14}" for share in shares(found).values()))
    for name, found in copies.items():
        piece = max(found, key=lambda one: one.copy.notes if one.copy else 0)
        if piece.copy:
            copy = piece.copy
            lines.append(
                f"  longest of the {name}: {copy.notes} notes, {copy.bars} of {piece.name}, "
                f"as in {copy.source} from bar {copy.source_bar} on"
            )
    return lines


def table(found: Likelihood) -> list[str]:
    """The figures as lines for the screen."""
    means = [(f"nats per {name}", mean) for name, mean in (*found.means, *found.unit_means)]
    wide = max(len(name) for name, _ in means)
    lines = [
        f"{found.pieces:,} pieces, {found.nats:,.0f} nats (natural logarithms)",
        f"  {'':{wide}}{'all together':>14}{'mean of pieces':>16}",
    ]
    lines += [f"  {name:{wide}}{mean.all:14.4f}{mean.of_pieces:16.4f}   ({mean.count:,.0f})" for name, mean in means]
    lines.append("Nats per token by where in its piece a token stands")
    for part in found.positions:
        lines.append(
            f"  {part.span:18}{part.nats_per_token:14.4f}   ({part.tokens:,} tokens of {part.pieces:,} pieces)"
        )
    lines.append(f"Nats per note by type of token   {'that it comes':>14}{'which value':>14}")
    for share in found.types:
        lines.append(
            f"  {share.name:30}{share.type_nats_per_note:15.4f}{share.value_nats_per_note:14.4f}   ({share.tokens:,})"
        )
    groups: dict[str, float] = {}
    for share in found.types:
        groups[share.group] = groups.get(share.group, 0.0) + share.type_nats_per_note + share.value_nats_per_note
    lines.append("  together: " + ", ".join(f"{group} {nats:.4f}" for group, nats in groups.items()))
    return lines


if __name__ == "__main__":
    main()
