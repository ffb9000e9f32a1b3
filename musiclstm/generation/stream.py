"""Music without end: an iterator of notes as they are decided."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np

from musiclstm.generation.joining import next_line
from musiclstm.generation.notes import Note, note_reader
from musiclstm.generation.player import Player
from musiclstm.generation.state import MusicState
from musiclstm.generation.writing import Writing
from musiclstm.tokenizers.vocabulary import BOS, EOS


class Stream(Iterator[Note]):
    """The notes that go on from a state, one after the other, in constant time and memory a note.

    Without constraints and rescue a note comes as soon as it is whole. With them it comes some bars later, so that what
    is not yet heard can be written anew; at hundreds of times real time that is no wait.

    writing: of one piece, that goes on from `state`.
    """

    def __init__(self, player: Player, state: MusicState, writing: Writing) -> None:
        self._player, self._begun, self._writing = player, state, writing
        self._before = self._rest = 0.0  # seconds before the present piece, and before its pickup
        self._tokens = [BOS]
        self._grammar = player.grammar.start(1)
        self._reader = note_reader(player.tokenizer)
        self._read = 0  # tokens of the state and after that the reader has had
        self._ready: deque[Note] = deque()
        for token in state.ids[1:].tolist():
            self._feed(token)  # what sounds already may end later, and is then a note
        writing.begin()

    def __next__(self) -> Note:
        while not self._ready:
            going = self._writing.step()
            released = self._writing.released(0)
            for token in self._writing.drawn(0)[self._read : released].tolist():
                self._ready.extend(self._feed(token))
            self._read = max(self._read, released)
            if not going and not self._ready:
                raise StopIteration
        return self._ready.popleft()

    @property
    def state(self) -> MusicState:
        """The present piece up to the notes given so far."""
        ids, moment = self._writing.moment(0)
        return MusicState(self._player, ids, moment, self._begun.fingerprint)

    @property
    def tokens(self) -> int:
        """How many tokens were drawn."""
        return len(self._writing.drawn(0))

    @property
    def remarks(self) -> list[str]:
        """What went wrong on the way and was written anew."""
        return self._writing.remarks(0)

    def _feed(self, token: int) -> list[Note]:
        clock = self._player.grammar.clock(self._grammar)
        if (
            self._before and clock.bar[0] < 0 and clock.step[0] == 0
        ):  # a pickup stands at the end of a bar, see `follow`
            opened = self._player.tokenizer.decode(np.array(self._tokens, np.int32))
            self._rest = float(opened.seconds(clock.position[0]))
        notes = self._reader.feed(token, self._before + self._rest + float(clock.seconds[0]))
        self._tokens.append(token)
        if token == EOS:  # another piece follows from the next bar line on
            score = self._player.tokenizer.decode(np.array(self._tokens, np.int32))
            self._before += self._rest + float(score.seconds(next_line(score)))
            self._rest, self._tokens = 0.0, [BOS]
            self._grammar = self._player.grammar.start(1)
            self._reader = note_reader(self._player.tokenizer)
        else:
            self._grammar = self._player.grammar.advance(self._grammar, np.array([token]))
        return notes
