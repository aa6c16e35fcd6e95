"""Opens the language model: of a real runtime when weights are mounted, else the tiny one."""

from importlib.util import find_spec
from pathlib import Path

from validator.llm.programs.completion import LanguageModel
from validator.llm.programs.real_models import LlamaCppModel, VllmModel
from validator.llm.programs.tiny_model import TinyModel

# Where a volume with weights is mounted.
WEIGHTS = Path("/volume/weights")


class NoRuntimeError(Exception):
    """There are weights, and no runtime that reads them."""


def open_model(
    name: str, quantize: str, *, weights: Path = WEIGHTS, is_deterministic: bool = False
) -> LanguageModel:
    """The model of the weights in a folder, or the tiny one called `name` when there are none.

    `is_deterministic` is what the image declares of its runtime on its class of GPU; the tiny model
    always is.

    Raises:
        NoRuntimeError: the weights need a runtime that is not installed.
    """
    gguf = sorted(weights.glob("*.gguf"))
    if gguf:
        _require("llama_cpp", f"{gguf[0].name} (GGUF)")
        return LlamaCppModel(gguf[0], is_deterministic=is_deterministic)
    if (weights / "config.json").exists():
        _require("vllm", "safetensors of Hugging Face")
        return VllmModel(weights, is_deterministic=is_deterministic)
    return TinyModel(name, quantize)


def _require(module: str, found: str) -> None:
    if find_spec(module) is None:
        raise NoRuntimeError(
            f"{WEIGHTS} holds {found}, and this image has no {module}: build it with the runtime, "
            "or mount no weights to use the tiny model"
        )
