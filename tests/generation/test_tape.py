from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from musiclstm.generation.tape import Tape

ROWS = 3
EDITS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.sets(st.integers(0, ROWS - 1), min_size=1), st.integers(0, 999)),
        st.tuples(st.just("cut"), st.integers(0, ROWS - 1), st.floats(0, 1)),
        st.tuples(st.just("select"), st.integers(0, ROWS - 1), st.integers(0, ROWS - 1)),
        st.tuples(st.just("many"), st.integers(0, ROWS - 1), st.integers(200, 600)),
    ),
    max_size=30,
)


@given(EDITS)
def test_rows_are_lists(edits: list[tuple[str, object, object]]) -> None:
    tape, rows = Tape(ROWS), [[] for _ in range(ROWS)]  # type: ignore[var-annotated]
    for what, where, value in edits:
        if what == "append":
            index = np.array(sorted(where))  # type: ignore[call-overload]
            tape.append(index, index + value)
            for row in index.tolist():
                rows[row].append(row + value)
        elif what == "many":
            for token in range(value):  # type: ignore[call-overload]
                tape.append(np.array([where]), np.array([token]))
                rows[where].append(token)  # type: ignore[call-overload]
        elif what == "cut":
            length = int(len(rows[where]) * value)  # type: ignore[call-overload, operator]
            tape.cut(where, length)  # type: ignore[arg-type]
            del rows[where][length:]  # type: ignore[call-overload]
        else:
            tape.select(np.array([where]), np.array([value]))
            rows[where] = rows[value][:]  # type: ignore[call-overload]
    for row in range(ROWS):
        assert tape.tokens(row).tolist() == rows[row]
        assert tape.tokens(row, 1, 2).tolist() == rows[row][1:2] or len(rows[row]) < 2
