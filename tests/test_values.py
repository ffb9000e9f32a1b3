from __future__ import annotations

from pathlib import Path

import pytest

from musiclstm.errors import UserError
from musiclstm.values import check_kinds


@pytest.fixture
def conf(tmp_path: Path) -> str:
    (tmp_path / "size").mkdir()
    (tmp_path / "main.yaml").write_text(
        "defaults:\n  - _self_\n  - size: small\n"
        "minutes: 8\nrate: 3e-3\nquick: false\nname: null\ntrainer: {steps: -1, device: auto}\n"
    )
    (tmp_path / "size" / "small.yaml").write_text("width: 4\n")
    (tmp_path / "size" / "deep.yaml").write_text("layers: 3\n")
    return str(tmp_path)


@pytest.mark.parametrize(
    "good",
    [
        *(["minutes=2"], ["minutes=0.5"], ["minutes=null"], ["rate=1"], ["quick=true"], ["name=5"], ["name=x"]),
        *(["trainer.steps=7"], ["trainer={steps: 3}"], ["trainer.device=3"], ["size=deep", "size.layers=2"]),
        *(["minutes=1,2,3"], ["+other=x"], ["~name"], ["hydra.run.dir=x"], ["size=small,deep"], []),
    ],
)
def test_values_of_the_right_kind_pass(conf: str, good: list[str]) -> None:
    check_kinds(conf, "main", good)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("minutes=soon", "minutes=soon is not a number: give one, such as minutes=8"),
        ("minutes=true", "not a number"),
        ("minutes=[1]", "not a number"),
        ("minutes=1,soon", "minutes=soon is not a number"),
        ("rate=fast", "rate=fast is not a number"),
        ("quick=2", "quick=2 is neither yes nor no: give quick=true or quick=false"),
        ("trainer=3", "trainer is a group of settings; change what is in it .trainer.steps, trainer.device"),
        ("trainer.steps=many", "trainer.steps=many is not a number"),
        ("size.width=wide", "size.width=wide is not a number"),
    ],
)
def test_values_of_another_kind_are_said(conf: str, bad: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        check_kinds(conf, "main", [bad])
