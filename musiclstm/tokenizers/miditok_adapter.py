"""Any of MidiTok's tokenizers that write one stream of tokens, with or without byte pair encoding."""

from __future__ import annotations

import inspect
import json
import tempfile
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from musiclstm.errors import UserError
from musiclstm.score import DRUMS, METER, PEDAL, TEMPO, Score, make_notes, sort_notes
from musiclstm.tokenizers.base import Reading, Tokenizer
from musiclstm.tokenizers.grid import nearest_step
from musiclstm.tokenizers.miditok_clock import TEMPO_READ, MidiTokClock, MidiTokReading
from musiclstm.tokenizers.miditok_grammar import MidiTokGrammar
from musiclstm.tokenizers.vocabulary import BOS, EOS, Vocabulary

REQUIRED: dict[str, dict[str, Any]] = {  # what MidiTok has no default for
    "MMM": {"base_tokenizer": "TSD"},
    "PerTok": {
        "ticks_per_quarter": 320,
        "use_microtiming": False,
        "max_microtiming_shift": 0.125,
        "num_microtiming_bins": 30,
    },
}
OPTIONAL = {  # what single tokenizers take besides the arguments of TokenizerConfig
    "add_trailing_bars",
    "density_bins_max",
    "max_bar_embedding",
    "max_duration",
    "use_bar_end_tokens",
    "use_position_toks",
}


class MidiTok(Tokenizer):
    """MidiTok's `tokenizer` (REMI, TSD, MIDILike, ...) with `config`, the keyword arguments of its TokenizerConfig.

    `bpe` is the size of a vocabulary to be learnt in `fit`; `state` is what MidiTok saved of a tokenizer made
    before, and then says all. A piece is kept as MidiTok keeps it: `quantise` is encoding and decoding, and
    whether doing it twice changes more is MidiTok's affair. There are no features. The grammar is stricter than
    MidiTok, which decodes any tokens and leaves out notes of which the end is not told. A step is one of MidiTok's
    smallest, at 120 quarter notes a minute. `Reading` is an estimate: see `MidiTokClock`.
    """

    name = "miditok"

    def __init__(
        self,
        tokenizer: str = "REMI",
        config: dict[str, Any] | None = None,
        bpe: int | None = None,
        state: dict[str, Any] | None = None,
    ) -> None:
        if bpe is not None and state is None:
            raise UserError(f"tokenizer.bpe is {bpe}: byte pairs are learnt from music, so make it with `fit`")
        self.tokenizer, self.config, self.bpe = tokenizer, dict(config or {}), bpe
        self.miditok = _load(tokenizer, state) if state else _make(tokenizer, self.config)
        self.pieces = _pieces(self.miditok)
        self.vocabulary = _vocabulary(self.miditok, self.pieces)
        settings = self.miditok.config
        self.steps_per_quarter = getattr(self.miditok, "tpq", self.miditok.time_division)  # of what MidiTok decodes
        per_beat = settings.additional_params.get("ticks_per_quarter", settings.max_num_pos_per_beat)
        self.clock = MidiTokClock(self.pieces, per_beat, bars_begun=int(tokenizer == "PerTok"))
        self.context_sizes = {}

    @classmethod
    def fit(cls, scores: Sequence[Score], **arguments: Any) -> MidiTok:
        """Programs are told where there are any but the piano; byte pairs are learnt from the scores."""
        given = {key: value for key, value in arguments.items() if value is not None}
        config = dict(given.get("config") or {})
        config.setdefault("use_programs", any(score.notes["program"].any() for score in scores))
        bpe = given.pop("bpe", None)
        made = cls(**{**given, "config": config})
        if bpe is None or made.miditok.is_trained:
            return made
        if bpe <= len(made.vocabulary):
            raise UserError(
                f"tokenizer.bpe is {bpe}: {made.tokenizer} has {len(made.vocabulary)} tokens by itself, so give more"
            )
        texts = [text for score in scores if made.admits(score) is None for text in made._texts(score)]
        made.miditok.train(vocab_size=bpe, model="BPE", iterator=texts)
        return cls(made.tokenizer, config, bpe, _plain(made.miditok.to_dict()))

    @property
    def arguments(self) -> dict[str, Any]:
        return {
            "tokenizer": self.tokenizer,
            "config": self.config,
            "bpe": self.bpe,
            "state": _plain(self.miditok.to_dict()),
        }

    @property
    def seconds_per_step(self) -> float:
        return 60.0 / TEMPO_READ / self.steps_per_quarter

    def to_step(self, score: Score, tick: int) -> int:
        return nearest_step(score, tick, self.steps_per_quarter)

    def admits(self, score: Score) -> str | None:
        settings = self.miditok.config
        drums, pitch = score.notes["program"] == DRUMS, score.notes["pitch"]
        lowest, highest = settings.pitch_range
        kept = ~drums & (pitch >= lowest) & (pitch <= highest)
        if self.miditok.one_token_stream:
            lowest, highest = settings.drums_pitch_range if settings.use_pitchdrum_tokens else settings.pitch_range
            kept |= drums & (pitch >= lowest) & (pitch <= highest)
        if not kept.any():
            return f"no notes that MidiTok's {self.tokenizer} keeps"
        if self.tokenizer == "PerTok" and settings.use_time_signatures:  # the one that does not see to it by itself
            known = self.miditok.time_signatures
            for _, numerator, denominator in score.meters.tolist():
                if (numerator, denominator) not in known:
                    return f"a meter of {numerator}/{denominator}, which is not in MidiTok's time_signature_range"
        return None

    def quantise(self, score: Score) -> Score:
        return self.decode(self.encode(score))

    def _sequence(self, score: Score) -> tuple[Any, np.ndarray]:
        """MidiTok's sequence, before any byte pair encoding, and the step of each of its tokens."""
        if not self.miditok.one_token_stream:  # it would write a sequence for each track
            notes = score.notes[score.notes["program"] != DRUMS]
            notes["track"] = notes["program"] = 0
            score = score.replace(notes=notes)
        music = self.miditok.preprocess_score(_to_symusic(score))
        told = self.miditok.encode(music, encode_ids=False, no_preprocess_score=True)
        sequence = told if self.miditok.one_token_stream else told[0]
        ticks = np.array([event.time for event in sequence.events], np.int64)
        return sequence, ticks * self.steps_per_quarter // music.ticks_per_quarter

    def _texts(self, score: Score) -> Iterator[str]:
        """The piece as byte pairs are learnt from it: a character a token, cut at bars or beats."""
        sequence, _ = self._sequence(score)
        cuts = {"bar": "split_per_bars", "beat": "split_per_beats"}.get(self.miditok.config.encode_ids_split)
        for part in getattr(sequence, cuts)() if cuts else [sequence]:
            self.miditok.complete_sequence(part)
            yield self.miditok._ids_to_bytes(part.ids, as_one_str=True)

    def _ids(self, sequence: Any) -> np.ndarray:
        if self.miditok.is_trained and len(sequence):
            self.miditok.encode_token_ids(sequence)
        return np.array(sequence.ids, np.int32)

    def events(self, score: Score) -> tuple[np.ndarray, np.ndarray]:
        sequence, steps = self._sequence(score)
        ids = self._ids(sequence)
        lengths = np.array([len(self.pieces[i]) for i in ids], np.int64)
        first = np.minimum(np.cumsum(lengths) - lengths, len(steps) - 1)  # of its tokens
        steps = np.concatenate([[0], steps[first], [steps.max(initial=0)]])
        return np.concatenate([[BOS], ids, [EOS]]).astype(np.int32), steps

    def encode_prompt(self, score: Score, step: int) -> np.ndarray:
        """The ids of what happens before `step`: cut before byte pairs are made, so that none crosses it."""
        sequence, steps = self._sequence(score)
        late = np.flatnonzero(steps >= step)
        part = sequence[: int(late[0])] if len(late) else sequence
        ids = self._ids(part) if len(late) == 0 or late[0] > 0 else np.zeros(0, np.int32)
        return np.concatenate([[BOS], ids]).astype(np.int32)

    def decode(self, ids: np.ndarray) -> Score:
        from miditok import TokSequence

        ids = np.asarray(ids, np.int64)
        ids = ids[ids > EOS]
        if not any(self.pieces[i] for i in ids):
            return Score(make_notes([], [], []))
        sequence = TokSequence(ids=ids.tolist(), are_ids_encoded=self.miditok.is_trained)
        return _from_symusic(self.miditok.decode(sequence if self.miditok.one_token_stream else [sequence]))

    def context(self, ids: np.ndarray, reading: Reading | None = None) -> tuple[np.ndarray, MidiTokReading]:
        ids = np.asarray(ids, np.int64)
        if reading is None:
            reading = self.clock.start(len(ids))
        assert isinstance(reading, MidiTokReading)
        return np.zeros((*ids.shape, 0), np.int64), self.clock.read(ids, reading)

    def grammar(self) -> MidiTokGrammar:
        return MidiTokGrammar(self.miditok, self.pieces, self.clock, self.steps_per_quarter)

    def describe(self) -> str:
        pairs = ", with byte pair encoding" if self.bpe else ""
        return f"miditok: {self.tokenizer}, {len(self.vocabulary)} tokens{pairs}"


def _library() -> Any:
    try:
        import miditok
    except ImportError as error:
        raise UserError('tokenizer=miditok needs MidiTok: pip install "musiclstm[miditok]"') from error
    return miditok


def _make(name: str, config: dict[str, Any]) -> Any:
    """MidiTok's tokenizer, which writes one stream; UserError where it cannot, with those that can."""
    library = _library()
    kind = getattr(library, name, None) if name in library.tokenizations.__all__ else None
    if kind is None:
        raise UserError(f"tokenizer.tokenizer is {name}, which MidiTok has not: take {', '.join(_one_stream())}")
    known = {*inspect.signature(library.TokenizerConfig).parameters, *REQUIRED.get(name, {}), *OPTIONAL}
    for key in config:  # which MidiTok itself would not look at
        if key not in known:
            raise UserError(
                f"tokenizer.config has {key}, which MidiTok's TokenizerConfig does not know: see its manual"
            )
    try:
        made = kind(library.TokenizerConfig(**_arguments(name, config)))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"tokenizer.config is {config}: {name} does not take it ({error})") from error
    if made.is_multi_voc:
        raise UserError(f"tokenizer.tokenizer is {name}, with tokens of several parts: take {', '.join(_one_stream())}")
    return made


def _arguments(name: str, config: dict[str, Any]) -> dict[str, Any]:
    given: dict[str, Any] = {"use_programs": True, "remove_duplicated_notes": True}  # of two alike MIDI keeps one
    given |= {**REQUIRED.get(name, {}), **config, "special_tokens": ["PAD", "BOS", "EOS"]}
    for key in ("beat_res", "beat_res_rest"):  # a range of beats, which JSON and YAML write as "0_4"
        if key in given:
            given[key] = {
                tuple(map(int, span.split("_"))) if isinstance(span, str) else tuple(span): resolution
                for span, resolution in given[key].items()
            }
    return given


def _one_stream() -> list[str]:
    """The names of MidiTok's tokenizers that have one vocabulary."""
    library = _library()
    kinds = {name: getattr(library, name) for name in library.tokenizations.__all__}
    made = {name: kind(library.TokenizerConfig(**_arguments(name, {}))) for name, kind in kinds.items()}
    return sorted(name for name, tokenizer in made.items() if not tokenizer.is_multi_voc)


def _load(name: str, state: dict[str, Any]) -> Any:
    """MidiTok's tokenizer from what it saved, which it reads from a file alone."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "tokenizer.json")
        path.write_text(json.dumps(state), encoding="utf-8")
        return getattr(_library(), name)(params=path)


def _plain(state: dict[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(state))


def _pieces(tokenizer: Any) -> list[list[str]]:
    """MidiTok's own tokens that each id stands for: one, or with byte pairs several, or none."""
    if not tokenizer.is_trained:
        return [[token] for token in tokenizer.vocab]
    tokens = tokenizer._vocab_learned_bytes_to_tokens
    model = tokenizer._model
    return [tokens[model.id_to_token(i)] for i in range(model.get_vocab_size())]


def _vocabulary(tokenizer: Any, pieces: list[list[str]]) -> Vocabulary:
    own = list(tokenizer.vocab)
    if own[:3] != ["PAD_None", "BOS_None", "EOS_None"] or pieces[: len(own)] != [[token] for token in own]:
        raise UserError("this version of MidiTok numbers its tokens in another order than musiclstm knows")
    split = [token.partition("_") for token in own[3:]]
    types = {kind: [value for _, _, value in group] for kind, group in groupby(split, lambda token: token[0])}
    if len(pieces) > len(own):
        types["BPE"] = [f"{i}:{'+'.join(pieces[i])}" for i in range(len(own), len(pieces))]
    return Vocabulary(types)


def _to_symusic(score: Score) -> Any:
    """`score` as MidiTok takes it."""
    import symusic

    music: Any = symusic.Score(score.ticks_per_quarter)  # its own types know of no attribute
    for tick, microseconds in score.tempos.tolist():
        music.tempos.append(symusic.Tempo(tick, mspq=microseconds))
    for tick, numerator, denominator in score.meters.tolist():
        music.time_signatures.append(symusic.TimeSignature(tick, numerator, denominator))
    for number, program in np.unique(score.notes[["track", "program"]]).tolist():
        mine = score.notes[(score.notes["track"] == number) & (score.notes["program"] == program)]
        track: Any = symusic.Track("", 0 if program == DRUMS else program, program == DRUMS)
        start, pitch, velocity = mine["start"].copy(), mine["pitch"].astype(np.int8), mine["velocity"].astype(np.int8)
        track.notes = symusic.Note.from_numpy(start, np.maximum(mine["end"] - start, 1), pitch, velocity)
        for begin, end, _ in score.pedals[score.pedals["track"] == number].tolist():
            track.pedals.append(symusic.Pedal(begin, end - begin))
        music.tracks.append(track)
    return music


def _from_symusic(music: Any) -> Score:
    notes, pedals = [make_notes([], [], [])], []
    for number, track in enumerate(music.tracks):
        columns = track.notes.numpy()
        program = DRUMS if track.is_drum else track.program
        start = np.maximum(columns["time"], 0)  # micro-timing may lead before the beginning
        end = np.maximum(columns["time"] + columns["duration"], start + 1)
        notes.append(make_notes(start, end, columns["pitch"], columns["velocity"], program, number))
        pedals += [(pedal.time, pedal.time + pedal.duration, number) for pedal in track.pedals]
    tempos = {0: 500_000, **{tempo.time: tempo.mspq for tempo in music.tempos}}
    meters = {0: (4, 4), **{m.time: (m.numerator, m.denominator) for m in music.time_signatures}}
    return Score(
        sort_notes(np.concatenate(notes)),
        music.ticks_per_quarter,
        np.array(sorted(tempos.items()), TEMPO),
        np.array([(tick, *meter) for tick, meter in sorted(meters.items())], METER),
        np.array(sorted(pedals), PEDAL),
    )
