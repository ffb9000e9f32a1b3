"""The Transformer: windows, steps and resets agree, however long a piece, and only what is near has a say."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from musiclstm.errors import UserError
from musiclstm.model.attention import AttentionStack, Block
from musiclstm.model.music_lstm import MusicLSTM
from musiclstm.model.stack import detach_state, put_state, select_state
from tests.model.stacks import (
    B,
    T,
    X,
    assert_close,
    away_from_the_beginning,
    check_gradients,
    check_resets,
    check_steps_and_windows,
    make_input,
)

H, HEADS = 8, 2


def make_stack(memory: int = 64, num_layers: int = 2, dropout: float = 0.0) -> AttentionStack:
    torch.manual_seed(0)
    stack = AttentionStack(X, H, num_layers, HEADS, memory, dropout)
    away_from_the_beginning(stack)
    return stack


@pytest.mark.parametrize("memory", [1, 4, T, 64])
@torch.no_grad()
def test_steps_and_windows_give_what_the_whole_sequence_gives(memory: int) -> None:
    last = check_steps_and_windows(make_stack(memory))
    assert last[0][0].tolist() == [T] * B
    assert [part.shape for layer in last[1:] for part in layer] == [(B, min(memory, T), H)] * 4


@pytest.mark.parametrize("memory", [4, 64])
@torch.no_grad()
def test_a_reset_row_begins_anew_and_leaves_the_others_alone(memory: int) -> None:
    stack = make_stack(memory)
    last, alone = check_resets(stack)
    following, _ = stack(make_input(), last)
    for row, row_state in enumerate(alone):
        # Memories differ in what is never looked at, so they are compared by what comes of them.
        assert int(last[0][0][row]) == int(row_state[0][0])
        assert_close(following[row : row + 1], stack(make_input()[row : row + 1], row_state)[0])


@torch.no_grad()
def test_a_layer_sees_no_further_than_its_memory_and_never_ahead() -> None:
    stack, x, changed = make_stack(memory=3, num_layers=2), make_input(), make_input()
    changed[:, 4] += 1
    differs = ((stack(x)[0] - stack(changed)[0]).abs() > 1e-6).any(-1).any(0).tolist()
    assert [t for t, differ in enumerate(differs) if differ] == list(range(4, 4 + 2 * 3 + 1))


@torch.no_grad()
def test_only_how_far_apart_positions_are_matters() -> None:
    """A piece that has gone on for long, and whose memory was filled twice over, is read as one that began just now."""
    stack = make_stack(memory=4, num_layers=1)
    x = make_input(length=40)
    late, _ = stack(x)
    early, _ = stack(x[:, 20:])
    assert_close(late[:, 24:], early[:, 4:])
    near, far = stack(x[:, :4])[0], stack(x[:, [1, 0, 2, 3]])[0]
    assert (near[:, 3] - far[:, 3]).abs().max() > 1e-3  # and that the order does


@torch.no_grad()
def test_a_block_is_attention_as_it_is_written_down() -> None:
    torch.manual_seed(0)
    block = Block(H, HEADS, memory=T)
    h, size = torch.randn(1, T, H), H // HEADS
    q, k, v = block.query_key_value(block.attention_norm(h)).chunk(3, dim=-1)
    attended = torch.zeros(T, H)
    for head in range(HEADS):
        own = slice(head * size, (head + 1) * size)
        for t in range(T):
            logits = torch.tensor([relative(q[0, t, own], k[0, s, own], t - s) / math.sqrt(size) for s in range(t + 1)])
            attended[t, own] = logits.softmax(0) @ v[0, : t + 1, own]
    expected = h + block.output(attended)
    normed = block.feed_forward_norm(expected)
    expected = expected + block.contract(torch.nn.functional.gelu(block.expand(normed)))

    angles = torch.arange(T)[None, :, None, None] * 10_000 ** -(torch.arange(0, size, 2) / size)
    visible = torch.ones(T, T, dtype=torch.bool).tril()[None, None]
    empty = torch.zeros(1, 0, H)
    found, _ = block(h, (empty, empty), visible, (angles.cos(), angles.sin()), 0.0)
    assert_close(found, expected)


def relative(query: Tensor, key: Tensor, distance: int) -> float:
    """Their product, as complex numbers, with the key turned back by the distance."""
    pairs = len(query) // 2
    wave = 10_000.0 ** -(torch.arange(pairs) / pairs)
    turn = torch.polar(torch.ones(pairs), distance * wave)
    q, k = torch.complex(query[:pairs], query[pairs:]), torch.complex(key[:pairs], key[pairs:])
    return float((q.conj() * k * turn.conj()).real.sum())


@torch.no_grad()
def test_rows_are_put_back_to_a_shorter_memory() -> None:
    stack, x = make_stack(memory=8), make_input()
    _, early = stack(x[:, :3])
    _, late = stack(x[:, :10])
    for before, after in ((late, early), (early, late)):
        mixed = put_state(before, [1, 3], select_state(after, [1, 3]))
        outputs, _ = stack(make_input(), mixed)
        for row in range(B):
            own = select_state(after if row in (1, 3) else before, [row])
            assert_close(outputs[row], stack(make_input()[row : row + 1], own)[0][0])


def test_the_memory_passes_no_gradient_on_once_it_is_detached_and_all_parameters_have_one() -> None:
    stack = make_stack()
    _, state = stack(make_input())
    assert not any(part.requires_grad for layer in detach_state(state) for part in layer)
    stack(make_input(), detach_state(state), torch.zeros(B, 2, dtype=torch.bool))[0].square().sum().backward()
    check_gradients(stack)


@torch.no_grad()
def test_dropout_is_inactive_in_eval_mode_and_in_steps() -> None:
    dropping, plain, x = make_stack(dropout=0.5), make_stack(), make_input()
    assert not torch.equal(dropping(x)[0], plain(x)[0])
    torch.testing.assert_close(
        dropping.step(x[:, 0], dropping.initial_state(B)), plain.step(x[:, 0], plain.initial_state(B))
    )
    torch.testing.assert_close(dropping.eval()(x), plain(x))


@pytest.mark.parametrize("gated", [{}, {"gated_output": True}])
@torch.no_grad()
def test_the_model_steps_as_it_reads_and_keeps_its_arguments(gated: dict[str, bool]) -> None:
    torch.manual_seed(0)
    arguments = {"cell": "attention", "skip": "residual", "hidden_size": H, "heads": HEADS, "memory": 6, **gated}
    model = MusicLSTM(20, (4,), embedding_size=6, **arguments).eval()  # type: ignore[arg-type]
    assert model.arguments.items() >= arguments.items()
    # Bundles and fingerprints of other models stay what they were.
    assert not {"memory", "gated_output"} & MusicLSTM(20).arguments.keys()
    tokens = torch.randint(20, (B, T), generator=torch.Generator().manual_seed(1))
    context = tokens[..., None] % 4
    logits, last = model(tokens, context)
    state = model.initial_state(B)
    for t in range(T):
        stepped, state = model.step(tokens[:, t], context[:, t], state)
        assert_close(stepped, logits[:, t])
    assert_close(state, last)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"heads": 0}, "heads=0 is not possible"),
        ({"heads": 3}, "hidden_size=256 does not divide into 3 heads of even size: give a multiple of 6"),
        ({"hidden_size": 4}, "hidden_size=4 does not divide into 4 heads"),
        ({"memory": 0}, "memory=0 is not possible"),
        ({"memory": 1.5}, r"memory=1\.5"),
        ({"num_layers": 0}, "num_layers=0"),
        ({"dropout": 1}, "dropout=1 is not possible"),
        ({"skip": "graves"}, "cell=attention is not possible with skip=graves .* give skip=residual"),
        ({"learned_state": True}, "learned_state=True .* begins empty"),
        ({"layer_norm": True}, "layer_norm=True: .* norms of their own"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        MusicLSTM(**({"vocab_size": 20, "cell": "attention", "skip": "residual"} | arguments))  # type: ignore[arg-type]


def test_a_piece_begins_with_an_empty_memory_and_windows_divide() -> None:
    stack = make_stack()
    (seen,), *memories = stack.initial_state(3)
    assert seen.tolist() == [0, 0, 0]
    assert [part.shape for layer in memories for part in layer] == [(3, 0, H)] * 4
    with pytest.raises(ValueError, match="12 steps does not divide into 5 segments"):
        stack(make_input(), None, torch.zeros(B, 5, dtype=torch.bool))
