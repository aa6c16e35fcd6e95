"""The program of the image llm-prompts."""

import random
from pathlib import Path

import pytest

from validator.llm.programs import prompts
from validator.llm.programs.answer_file import read_prompts
from validator.llm.programs.prompts import OPENINGS, new_series
from validator.llm.programs.tiny_model import TinyModel


def test_each_series_has_a_file_of_different_prompts(tmp_path: Path) -> None:
    args = ["--uuids=a,b", "--number_of_prompts_per_batch=5", "--max_new_tokens=4"]
    assert prompts.main([*args, f"--output={tmp_path}", f"--weights={tmp_path}"]) == 0
    series = [read_prompts((tmp_path / f"prompts_{one}.txt").read_bytes()) for one in "ab"]
    assert [len(one) for one in series] == [5, 5]
    assert len({*series[0], *series[1]}) == 10
    assert all(prompt.startswith(OPENINGS) for prompt in series[0])


def test_a_model_that_repeats_itself_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompts, "TRIES", 3)
    with pytest.raises(RuntimeError, match=f"{len(OPENINGS)} of 1000"):
        new_series(TinyModel(), random.Random(1), count=1000, batch_size=100, max_tokens=0)


def test_weights_without_a_runtime_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.json").touch()
    assert prompts.main(["--uuids=a", f"--weights={tmp_path}"]) == 1
    assert "this image has no vllm" in capsys.readouterr().err
