"""The program of the image llm-solver."""

from pathlib import Path

import pytest

from validator.llm.programs import solver
from validator.llm.programs.answer_file import digest, read_answers, read_trace

PROMPTS = [f"prompt {number}" for number in range(5)]


@pytest.fixture
def asked(tmp_path: Path) -> list[str]:
    (tmp_path / "a.txt").write_text("\n".join(PROMPTS))
    return [
        str(tmp_path / "a.txt"),
        f"--output={tmp_path}",
        f"--weights={tmp_path / 'weights'}",
        "--max-tokens=4",
    ]


def test_it_writes_the_answers_and_prints_their_hash(
    asked: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert solver.main([*asked, "--seed=5"]) == 0
    content = (tmp_path / "a.json").read_bytes()
    assert list(read_answers(content)) == PROMPTS
    assert capsys.readouterr().out == digest(content) + "\n"
    assert not (tmp_path / "a.trace.json").exists()


@pytest.mark.parametrize("batch_size", [1, 2, 44])
def test_the_size_of_a_batch_makes_no_difference(
    asked: list[str], tmp_path: Path, batch_size: int
) -> None:
    solver.main([*asked, "--seed=5"])
    whole = (tmp_path / "a.json").read_bytes()
    solver.main([*asked, "--seed=5", f"--batch-size={batch_size}"])
    assert (tmp_path / "a.json").read_bytes() == whole


def test_prompts_may_have_seeds_of_their_own_and_a_trace(asked: list[str], tmp_path: Path) -> None:
    solver.main([*asked, "--seed=5"])
    alike = read_answers((tmp_path / "a.json").read_bytes())
    (tmp_path / "seeds").write_text("5\n6\n7\n8\n9\n")
    assert solver.main([*asked, f"--seeds={tmp_path / 'seeds'}", "--trace=3"]) == 0
    answers = read_answers((tmp_path / "a.json").read_bytes())
    assert answers["prompt 0"] == alike["prompt 0"]
    assert answers != alike
    is_deterministic, traces = read_trace((tmp_path / "a.trace.json").read_bytes())
    assert is_deterministic
    assert traces.keys() == answers.keys()


def test_as_many_seeds_as_prompts_are_needed(asked: list[str], tmp_path: Path) -> None:
    (tmp_path / "seeds").write_text("5\n")
    with pytest.raises(ValueError, match="1 seeds for 5 prompts"):
        solver.main([*asked, f"--seeds={tmp_path / 'seeds'}"])


@pytest.mark.parametrize("given", [[], ["--seed=1", "--server"]])
def test_one_way_to_get_a_seed_is_needed(asked: list[str], given: list[str]) -> None:
    with pytest.raises(SystemExit):
        solver.main([*asked, *given])


def test_weights_without_a_runtime_are_said(
    asked: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "model.gguf").touch()
    assert solver.main([*asked, "--seed=5"]) == 1
    assert "this image has no llama_cpp" in capsys.readouterr().err
