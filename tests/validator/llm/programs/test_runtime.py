"""Which model is opened."""

from pathlib import Path

import pytest

from validator.llm.programs import runtime
from validator.llm.programs.completion import Completion
from validator.llm.programs.runtime import NoRuntimeError, open_model
from validator.llm.programs.sampling import Sampling


def test_without_weights_it_is_the_tiny_model(tmp_path: Path) -> None:
    model = open_model("mine", "int8", weights=tmp_path / "nothing")
    assert (model.name, model.is_deterministic) == ("mine", True)
    (made,) = model.complete(["a prompt"], [1], Sampling(max_tokens=3))
    assert isinstance(made, Completion)
    assert made.text


@pytest.mark.parametrize(
    ("file", "module", "name"),
    [("a.gguf", "llama_cpp", "LlamaCppModel"), ("config.json", "vllm", "VllmModel")],
)
def test_weights_are_read_by_their_runtime(
    file: str, module: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / file).touch()
    with pytest.raises(NoRuntimeError, match=f"this image has no {module}"):
        open_model("tiny", "none", weights=tmp_path)
    opened = []

    def made(weights: Path, *, is_deterministic: bool) -> str:
        opened.append((weights, is_deterministic))
        return name

    monkeypatch.setattr(runtime, "find_spec", lambda asked: asked == module)
    monkeypatch.setattr(runtime, name, made)
    assert open_model("tiny", "none", weights=tmp_path, is_deterministic=True) == name
    assert opened == [(tmp_path / file if module == "llama_cpp" else tmp_path, True)]
