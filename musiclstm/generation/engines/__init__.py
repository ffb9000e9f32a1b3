"""Step engines: a model that goes on by one token at a time, as fast as the machine lets it.

- reference: the model's own step, wherever its weights are; the only one for a model of attention
- torch: on the CPU, float32, weights laid out for steps
- int8: on the CPU, the same with weights in 8 bits
- cuda: on a GPU, the model's step as a captured graph
"""

from __future__ import annotations

from musiclstm.console import warn
from musiclstm.errors import UserError
from musiclstm.generation.engines.agreement import CLOSE, DIVERGENCE, Agreement, compare
from musiclstm.generation.engines.base import Engine, ModelEngine
from musiclstm.generation.engines.graph import GraphEngine
from musiclstm.generation.engines.products import int8_missing
from musiclstm.generation.engines.reference import ReferenceEngine
from musiclstm.generation.engines.stepping import Int8Engine, TorchEngine
from musiclstm.model.music_lstm import ATTENTION, MusicLSTM

__all__ = ["KINDS", "Agreement", "Engine", "compare", "make_engine"]

KINDS = ("auto", "reference", "torch", "int8", "cuda")


def make_engine(model: MusicLSTM, kind: str = "auto") -> Engine:
    """An engine for the model where its weights are: one of `KINDS`, or with "auto" the fastest.

    Each but the reference is compared with the model on sequences that it writes. One that is too far from it is
    refused with UserError; "auto" then says so and takes the next. UserError as well where the kind is unknown, or
    is not for this device, CPU or torch.
    """
    if kind not in KINDS:
        raise UserError(f"engine={kind!r} is unknown: choose one of {', '.join(KINDS)}")
    if kind != "auto":
        if reason := _missing(model, kind):
            remedy = f"engine=auto{_other_device(model, kind)}"
            raise UserError(f"engine={kind} is not possible here ({reason}): give {remedy}")
        engine, problem = _make(model, kind)
        if problem:
            raise UserError(f"engine={kind} is refused, {problem}: give engine=auto")
        return engine
    for candidate in ("cuda", "int8", "torch"):
        if not _missing(model, candidate):
            engine, problem = _make(model, candidate)
            if not problem:
                return engine
            warn(f"engine={candidate} is left out, {problem}")
    return ReferenceEngine(model)


def _other_device(model: MusicLSTM, kind: str) -> str:
    """What a remedy adds where the model is not on the device that the engine is for."""
    wanted = "cuda" if kind == "cuda" else "cpu"
    elsewhere = model.arguments["cell"] != ATTENTION and model.embedding.weight.device.type != wanted
    return f", or device={wanted}" if elsewhere else ""


def _missing(model: MusicLSTM, kind: str) -> str | None:
    """Why there is no such engine, in a few words; None where there is."""
    device = model.embedding.weight.device.type
    if kind != "reference" and model.arguments["cell"] == ATTENTION:
        return "the model is a Transformer, which has the reference engine alone"
    if kind == "reference" or (kind == "cuda" and device == "cuda"):
        return None
    if kind == "cuda" or device != "cpu":
        return f"the model is on {device}"
    return int8_missing() if kind == "int8" else None


def _make(model: MusicLSTM, kind: str) -> tuple[Engine, str | None]:
    """The engine, and what is wrong with it."""
    engines: dict[str, type[ModelEngine]] = {
        "reference": ReferenceEngine,
        "torch": TorchEngine,
        "int8": Int8Engine,
        "cuda": GraphEngine,
    }
    engine = engines[kind](model)
    if kind == "reference":
        return engine, None
    with engine.threads(1):
        agreement = compare(engine, model)
    measured, limit = (agreement.divergence, DIVERGENCE) if kind == "int8" else (agreement.difference, CLOSE)
    # Written so that what is no number is too far as well.
    within = measured <= limit
    return engine, None if within else f"its results are too far from the model's ({agreement})"
