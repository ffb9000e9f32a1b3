"""The loop that writes several sequences at once, a token each per step, until all have ended or been stopped."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from musiclstm.errors import UserError
from musiclstm.generation.history import ROW, STAYS, Mark, Past
from musiclstm.generation.joining import pieces_of
from musiclstm.generation.lengths import without_end
from musiclstm.generation.limits import Limits
from musiclstm.generation.opening import Opening, Written
from musiclstm.generation.particles import Particles
from musiclstm.generation.player import Moment, Player, put, take
from musiclstm.generation.sampling import RowStreams, Sampling, sample
from musiclstm.generation.tape import Tape
from musiclstm.generation.turns import Turn
from musiclstm.generation.watch import Bars, Watch
from musiclstm.tokenizers.grammar import ONE, Clock
from musiclstm.tokenizers.vocabulary import BOS, EOS

MOST_SILENCE = 4096  # tokens that are waited for a first note once a limit is reached
MOST_TRIES = 60  # ways back from a place where constraints leave nothing, before it is called impossible
MOST_RESCUES = 8  # of a piece: one that loses its way more often is written as it comes
KEPT_BARS = 16
NEVER = np.zeros(1, bool)
BEAT = 0.5  # seconds by the tokenizer's tempo after which particles meet


class Writing:
    """The pieces numbered `pieces` being written side by side. `run` once.

    particles: how many rows write each piece together (see `Particles`); 1 is plain sampling.
    rescue: a piece that has lost its way goes back some bars and tries again (see `Watch`).
    kept_bars: how many bar lines can be gone back to, by rescue or from where constraints leave nothing.
    stop: a step of the tokenizer at which all stop, and before which none ends.
    counts: how often training met each token (V,), by which a random opening is drawn.
    turn: shared by the threads that write the other parts of a batch, if there are such.
    """

    def __init__(
        self,
        player: Player,
        sampling: Sampling,
        limits: Limits,
        opening: Opening | None = None,
        *,
        seed: int,
        pieces: range,
        particles: int = 1,
        rescue: bool = False,
        kept_bars: int = KEPT_BARS,
        stop: int | None = None,
        counts: np.ndarray | None = None,
        turn: Turn | None = None,
    ) -> None:
        self._turn = turn
        self._player, self._sampling, self._limits = player, sampling, limits
        self._kept_bars, self._stop = kept_bars, stop
        self._opening = opening or Opening(np.array([BOS], np.int32))
        keys = [(seed, piece, *([p] if particles > 1 else [])) for piece in pieces for p in range(particles)]
        batch = len(keys)
        self._streams = RowStreams(keys)
        self._counts = np.zeros(len(player.tokenizer.vocabulary)) if counts is None else counts.astype(np.float64)
        self._tape = Tape(batch)
        self._row = np.zeros(batch, ROW)
        self._row["live"] = self._row["silent"] = True
        self._bars = [Bars() for _ in range(batch)]
        self._past = [Past() for _ in range(batch)]
        beat = max(1, round(BEAT / player.tokenizer.seconds_per_step))
        self._particles = Particles(particles, seed, pieces, beat) if particles > 1 else None
        self._watch = Watch(player.tokenizer.vocabulary) if rescue else None
        self._guarded = bool(player.plan) or rescue

    def run(
        self, on_end: Callable[[int], None] | None = None, on_tokens: Callable[[int], None] | None = None
    ) -> list[Written]:
        """Writes them all; `on_end` hears of each number of pieces that end or are stopped, `on_tokens` of tokens.

        Raises UserError where constraints cannot be kept together.
        """
        self.begin()
        left = self._going()
        while self.step():
            if on_tokens is not None:
                on_tokens(len(self._rows))
            if on_end is not None and (now := self._going()) < left:
                on_end(left - now)
                left = now
        if on_end is not None and left:
            on_end(left)
        self._focus(np.arange(len(self._row)))
        chosen = range(len(self._row)) if self._particles is None else self._particles.choose().tolist()
        return [self._written(row) for row in chosen]

    def begin(self) -> None:
        """Reads what all begin with."""
        batch = len(self._row)
        start = self._opening.moment
        start = (
            self._player.read(self._opening.ids, self._opening.step)
            if start is None
            else self._player.resume(self._opening.ids, start)
        )
        self._all = take(start, [0] * batch)
        clock = self._player.clock(self._all)
        for name, value in (("begun_seconds", clock.seconds), ("begun_bars", clock.bar)):
            self._row[name] = value
        self._row["bar"], self._row["step"] = clock.bar, clock.step
        self._rows, self._part = np.arange(batch), self._all
        if self._guarded:
            for past in self._past:
                past.first = Mark(0, 0, self._row[:1].copy(), start, 0)

    def step(self) -> bool:
        """One token for each row that can go on, or a way back where one cannot; False where all have ended."""
        if self._turn is None:
            return self._any_step()
        with self._turn:
            return self._any_step()

    def _any_step(self) -> bool:
        if self._particles is not None:
            self._meet()
        live = self._row["live"]
        (rows,) = (live if self._particles is None else live & ~self._particles.waiting).nonzero()
        if len(rows) == 0:
            return False
        self._focus(rows)
        self._step()
        return True

    def drawn(self, row: int) -> np.ndarray:
        """The tokens of a row after its opening: int32. What is not released may still be written anew."""
        return self._tape.tokens(row)

    def released(self, row: int) -> int:
        """How many of those tokens will stay as they are."""
        first = self._past[row].first
        return first.length if first is not None and self._row["live"][row] else int(self._tape.lengths[row])

    def moment(self, row: int) -> tuple[np.ndarray, Moment]:
        """The ids of a row as far as they are released, of its last piece where there are several, and the moment
        after them."""
        self._focus(np.arange(len(self._row)))
        moment, first = take(self._part, [row]), self._past[row].first
        if first is not None and self._row["live"][row]:
            moment = first.moment
        ids = np.concatenate([self._opening.ids, self._tape.tokens(row, 0, self.released(row))])
        if self._player.endless and ids[-1] == EOS:
            ids = ids[:1]
        return pieces_of(ids)[-1], moment._replace(plan=None, before=None)

    def remarks(self, row: int) -> list[str]:
        """What went wrong in a row and was written anew."""
        return self._past[row].remarks

    def _going(self) -> int:
        size = 1 if self._particles is None else self._particles.size
        return int(self._row["live"].reshape(-1, size).any(axis=1).sum())

    def _focus(self, rows: np.ndarray) -> None:
        """Makes `self._part` the moment of `rows` alone; the others rest."""
        if len(rows) == len(self._rows) and not np.count_nonzero(rows != self._rows):
            return
        whole = len(self._rows) == len(self._row)
        self._all = self._part if whole else put(self._all, self._rows, self._part)
        self._rows, self._part = rows, self._all if len(rows) == len(self._row) else take(self._all, rows)

    def _step(self) -> None:
        """One token for each row in focus; or, where constraints leave one nothing, its way back.

        Every token waits for this, so that what is not asked for is not looked at, and as little as can be comes
        after the engine's step (see `Player.follow`).
        """
        rows, player, logits = self._rows, self._player, self._part.logits
        whole = len(rows) == len(self._row)
        row = self._row if whole else self._row.take(rows)
        lawful, allowed, bias = player.options(self._part)
        if self._stop is not None:
            allowed = without_end(allowed, np.ones(len(rows), bool))
        opened = self._tape.lengths.take(rows) < self._opening.drawn if self._opening.drawn else None
        if np.count_nonzero(asked := allowed[:, EOS] & row["silent"]):
            self._listen(rows[asked if opened is None else asked & ~opened])
            row["silent"] = self._row["silent"][rows]
            allowed = without_end(allowed, asked & (row["silent"] if opened is None else row["silent"] | opened))
        if player.plan and not (possible := allowed.any(axis=1)).all():
            for i in np.flatnonzero(~possible).tolist():
                if self._particles is None:
                    self._no_way_on(i)
                else:
                    self._particles.give_up(int(rows[i]))
            return
        uniform = self._streams.uniform(rows)
        drawn = self._sampling.draw(logits, lawful, allowed, bias, uniform)
        tokens, own = drawn.tokens, ONE
        if opened is not None:
            tokens, own = np.where(opened, self._at_random(allowed, uniform), tokens), 1 - opened
        after = player.follow(self._part, tokens)
        self._tape.append(rows, tokens)
        clock = player.clock(after)
        if opened is not None:
            row["drawn_seconds"][opened] = clock.seconds[opened]
        if self._particles is not None:
            self._particles.weigh(rows, drawn.left, clock.step)
        crossed = clock.bar > row["bar"]
        before = row["bar"].copy()
        row["masked"] += own * drawn.masked
        row["tokens"] += own
        if self._watch is not None:
            row["entropy"] += drawn.entropy
        row["step"], row["bar"] = clock.step, clock.bar
        over, mute = self._stopped(rows, row, clock)
        if not player.endless:
            row["ended"] = ended = tokens == EOS
            over, mute = over | ended, mute & ~ended
        row["live"] = ~over
        if not whole:
            self._row[rows] = row
        self._part = player.step(after, tokens, self._turn)
        if self._guarded and np.count_nonzero(crossed):
            self._bar_lines(np.flatnonzero(crossed & ~over), before)
        for i in np.flatnonzero(mute).tolist() if np.count_nonzero(mute) else ():
            if self._particles is None:
                self._go_back(i, 1 << 30)
            else:
                self._particles.give_up(int(rows[i]))

    def _at_random(self, allowed: np.ndarray, uniform: np.ndarray) -> np.ndarray:
        """Tokens as often as training met each, of those allowed."""
        counts = self._counts * allowed
        return sample(np.where(counts.any(axis=1, keepdims=True), counts, allowed), uniform)

    def _bar_lines(self, places: np.ndarray, before: np.ndarray) -> None:
        """The rows at these places in focus have begun a bar, coming from bars `before`: they are remembered."""
        every = len(places) == len(self._rows)
        block = self._part._replace(options=None) if every else take(self._part, places)
        rows = self._rows[places]
        wrong = self._judge(rows, before[places]) if self._watch is not None else [None] * len(rows)
        known = self._row[rows]
        for number, (row, length) in enumerate(zip(rows.tolist(), self._tape.lengths[rows].tolist(), strict=True)):
            past, remark = self._past[row], wrong[number]
            if remark is None:
                past.add(Mark(length, len(self._bars[row]), known, block, number), self._kept_bars)
            else:
                back = min(len(past.marks), 2 + len(past.remarks))
                past.remarks.append(f"bar {known['bar'][number]}: {remark}; written anew from {back} bars before")
                self._go_back(int(places[number]), back)

    def _judge(self, rows: np.ndarray, before: np.ndarray) -> list[str | None]:
        """What is wrong with each of `rows`, that have come to another bar from bars `before`."""
        assert self._watch is not None
        completed, entropy = self._row["bar"][rows] - before, self._row["entropy"][rows]
        self._row["entropy"][rows] = 0.0
        found = []
        for row, bars_more, total in zip(rows.tolist(), completed.tolist(), entropy.tolist(), strict=True):
            bars, tokens = self._bars[row], self._tape.tokens(row)
            done = bars.ends[-1] if bars.ends else 0
            self._watch.add(bars, tokens[done:], total / max(len(tokens) - done, 1), bars_more)
            judged = len(self._past[row].remarks) < MOST_RESCUES
            found.append(self._watch.judge(bars, tokens) if judged else None)
        return found

    def _no_way_on(self, i: int) -> None:
        """Constraints leave the row at place `i` nothing: back to a bar line, further the more often it happens."""
        row = int(self._rows[i])
        tries = self._past[row].try_again(int(self._row["step"][row]))
        if tries > MOST_TRIES or self._past[row].first is None:
            bar = int(self._row["bar"][row])
            asked = self._player.plan.at_work(bar) if self._player.plan else ""
            raise UserError(
                f"no way was found to go on in bar {bar + 1} with {asked} all together, in {MOST_TRIES} tries: ask for "
                "less there, or give another seed"
            )
        self._go_back(i, 1 + tries // 4)

    def _go_back(self, i: int, bars: int) -> None:
        """The row at place `i` becomes what it was `bars` bar lines before, or at its beginning."""
        row = int(self._rows[i])
        mark = self._past[row].back(bars)
        self._part = put(self._part, np.array([i]), mark.moment)
        self._tape.cut(row, mark.length)
        self._bars[row].cut(mark.bars)
        stays = {name: self._row[name][row] for name in STAYS}
        self._row[row] = mark.row
        for name, value in stays.items():
            self._row[name][row] = value

    def _meet(self) -> None:
        """Resamples the particles of each piece whose particles have all come to the same place."""
        assert self._particles is not None
        met = self._particles.meet(self._row["live"], self._row["step"])
        if not met:
            return
        self._focus(np.arange(len(self._row)))
        for rows in (rows for rows, sources in met if sources is None):
            for row in rows[self._row["live"][rows]].tolist():
                self._no_way_on(row)
        moved = [(rows, sources) for rows, sources in met if sources is not None]
        if moved:
            rows, sources = (np.concatenate(parts) for parts in zip(*moved, strict=True))
            stays = rows == sources
            self._become(rows[~stays], sources[~stays])

    def _become(self, rows: np.ndarray, sources: np.ndarray) -> None:
        """Each of `rows`, all being in focus, becomes what the row of `sources` beside it is."""
        index = np.arange(len(self._row))
        index[rows] = sources
        self._part = take(self._part, index)
        self._tape.select(rows, sources)
        self._row[rows] = self._row[sources]
        copies = [(self._bars[source].copy(), self._past[source].copy()) for source in sources]
        for row, (bars, past) in zip(rows.tolist(), copies, strict=True):
            self._bars[row], self._past[row] = bars, past

    def _listen(self, rows: np.ndarray) -> None:
        """Finds out which of `rows` have a note of their own by now."""
        for row in rows.tolist():
            score = self._player.tokenizer.decode(pieces_of(self._ids(row))[0])
            self._row["silent"][row] = not (score.notes["start"] >= (self._opening.step or 0)).any()

    def _stopped(self, rows: np.ndarray, row: np.ndarray, clock: Clock) -> tuple[np.ndarray, np.ndarray]:
        """Which of `rows`, of which `row` (`ROW`) is changed, have come to a limit, and which have to begin anew;
        bool, (B,) each.

        One without any note goes on to its first. If constraints hold, its bars are counted and its silence cannot be
        cut, so it begins anew.
        """
        limits = self._limits
        music = enough = mute = NEVER
        if limits.max_seconds is not None:
            music = clock.seconds - row["begun_seconds"] >= limits.max_seconds * self._opening.pace
        if limits.max_bars is not None:
            music = music | (clock.bar - row["begun_bars"] >= limits.max_bars)
        if self._stop is not None:
            return music | (clock.step >= self._stop), mute
        if limits.max_tokens is not None:
            enough = self._tape.lengths.take(rows) >= limits.max_tokens
        stopped = music | enough
        if not np.count_nonzero(stopped):
            return stopped, mute
        waits = row["silent"] & stopped
        if self._opening.step is not None:
            waits &= ~music  # later than that no note would be kept
        if not waits.any():
            return stopped, mute
        self._listen(rows[waits])
        row["silent"] = self._row["silent"][rows]
        # The limits in bars and seconds then count from the first note on: the silence before it will be cut.
        late = waits & ~row["silent"] & (row["waited"] > 0)
        row["begun_seconds"] = np.where(late, clock.seconds, row["begun_seconds"])
        row["begun_bars"] = np.where(late, clock.bar, row["begun_bars"])
        silent = waits & row["silent"] & (row["waited"] < MOST_SILENCE)
        if self._player.plan:
            mute = silent & music
        row["waited"] += np.where(mute, self._tape.lengths[rows], silent)
        counted_anew = late & ~enough
        return stopped & ~silent & ~counted_anew, mute

    def _ids(self, row: int) -> np.ndarray:
        return np.concatenate([self._opening.ids, self._tape.tokens(row)])

    def _written(self, row: int) -> Written:
        known = self._row[row]
        return Written(
            self._ids(row),
            int(self._tape.lengths[row]),
            bool(known["ended"]),
            float(known["drawn_seconds"]),
            float(known["masked"]) / max(int(known["tokens"]), 1),
            self._past[row].remarks,
            *self.moment(row),
        )
