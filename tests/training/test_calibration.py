from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from musiclstm.model.bundle import load_bundle
from musiclstm.model.music_lstm import MusicLSTM
from musiclstm.tokenizers.voices import Voices
from musiclstm.training.calibration import FACTORS, nats_by_factor
from tests.model.stacks import away_from_the_beginning
from tests.music import chorales
from tests.training.fitting import small_fit


def test_nats_are_the_cross_entropy_of_the_logits_times_each_factor() -> None:
    torch.manual_seed(0)
    logits, targets = 3 * torch.randn(50, 7), torch.randint(7, (50,))
    expected = [F.cross_entropy(logits * factor, targets, reduction="sum") for factor in FACTORS]
    torch.testing.assert_close(nats_by_factor(logits, targets, FACTORS), torch.stack(expected))
    assert FACTORS[0] == 0.7 and 1.0 in FACTORS and FACTORS[-1] == 1.1


@pytest.mark.parametrize("tie_output", [False, True])
@torch.no_grad()
def test_all_logits_are_scaled(tie_output: bool) -> None:
    torch.manual_seed(0)
    voices = Voices()
    sizes: dict[str, Any] = {"embedding_size": 8, "hidden_size": 12, "tie_output": tie_output}
    model = MusicLSTM(len(voices.vocabulary), [*voices.context_sizes.values()], **sizes, **voices.references())
    away_from_the_beginning(model)
    (ids,) = [voices.encode(score) for score in chorales().scores[:1]]
    tokens, context = torch.from_numpy(ids[None]).long(), torch.from_numpy(voices.context(ids[None])[0])
    before, state = model.eval()(tokens, context)
    model.scale_logits(0.8)
    after, same = model(tokens, context)
    torch.testing.assert_close(after, 0.8 * before)
    assert all(torch.equal(*pair) for pair in zip(sum(same, ()), sum(state, ()), strict=True))


def test_a_bundle_is_as_sure_as_is_right_and_the_run_goes_on_from_what_was_not_changed(tmp_path: Path) -> None:
    result = small_fit(tmp_path / "calibrated", steps=8)
    plain = small_fit(
        tmp_path / "plain", steps=8, optimizer={"learning_rate": 1e-2, "warmup_steps": 3, "calibrate": False}
    )
    assert plain.scores["val/logit_factor"] == 1
    assert result.scores["val/logit_factor"] != 1 and result.nats_per_note < plain.nats_per_note
    calibrated, average = (load_bundle(tmp_path / run / "model.safetensors").model for run in ("calibrated", "plain"))
    average.scale_logits(result.scores["val/logit_factor"])
    assert all(torch.equal(calibrated.state_dict()[k], value) for k, value in average.state_dict().items())
    first, second = (load_bundle(tmp_path / run / "last.ckpt").model.state_dict() for run in ("calibrated", "plain"))
    assert all(torch.equal(first[k], second[k]) for k in first)
