"""The shape of the code: sizes, names, mirrors, and nothing of anybody's own machine."""

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TESTS = ROOT / "tests"
PACKAGES = (
    "compute_horde",
    "compute_horde_sdk",
    "executor",
    "facilitator",
    "localnet",
    "miner",
    "validator",
)
# What is no package and has no tests of its own, but is read and changed like one.
BESIDE = ("benchmarks", "docs")
LONGEST_MODULE = 350
LONGEST_FUNCTION = 50
LONGEST_TASK = 6
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "base", "default", "misc"}

# By name: modules whose tests are those of what they wire together.
WIRING = {
    "__init__",
    "__main__",
    "admin",
    "apps",
    "asgi",
    "celery",
    "config",
    "models",
    "settings",
    "tasks",
    "urls",
}

# By path: modules proved by the tests of another one, which import or name them.
PROVED_BY = {
    "compute_horde/django/login_throttle.py": "tests/facilitator/test_login_throttle.py",
    "compute_horde_sdk/fallback/errors.py": "tests/compute_horde_sdk/test_errors.py",
    "compute_horde_sdk/job_spec.py": "tests/compute_horde_sdk/facilitator/test_signed_requests.py",
    "compute_horde_sdk/job_unsuccessful.py": "tests/compute_horde_sdk/test_errors.py",
    "compute_horde_sdk/peers_requiring_proof.py": (
        "tests/compute_horde_sdk/facilitator/test_auth.py"
    ),
    "compute_horde_sdk/v1/fallback.py": "tests/compute_horde_sdk/fallback/test_client.py",
    "executor/stages/execution_stage.py": "tests/executor/test_session.py",
    "executor/stages/startup_stage.py": "tests/executor/test_session.py",
    "validator/llm/programs/completion.py": "tests/validator/llm/programs/test_runtime.py",
    "validator/llm/sample.py": "tests/validator/llm/test_samples.py",
    "facilitator/web/errors.py": "tests/facilitator/web/test_response_deadline.py",
    "localnet/trusted_miner.py": "tests/localnet/test_process_table.py",
    "validator/trusted_miner/errors.py": "tests/validator/trusted_miner/test_runs.py",
}

# One machine's own folders: neither users nor CI have them.
MACHINE_PATH = re.compile(r"/(?:root|home/\w+|work)/")


@cache
def tracked() -> list[Path]:
    """Every file that git knows or would take."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [path for name in listed.stdout.splitlines() if (path := ROOT / name).is_file()]


@cache
def modules() -> list[Path]:
    return [
        path
        for path in tracked()
        if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in (*PACKAGES, *BESIDE, "tests")
    ]


@cache
def sources() -> list[Path]:
    """The modules of the packages, without what Django writes itself."""
    return [
        path
        for path in modules()
        if path.relative_to(ROOT).parts[0] in PACKAGES and "migrations" not in path.parts
    ]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@cache
def outline(path: Path) -> tuple[str, tuple[tuple[str, int], ...]]:
    """A module's docstring, and the name and the number of lines of each of its functions."""
    parsed = ast.parse(path.read_text())
    lengths = (
        (node.name, node.end_lineno - node.lineno + 1)
        for node in ast.walk(parsed)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    return ast.get_docstring(parsed) or "", tuple(lengths)


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The lines below the signature, without the docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def is_task(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any("task" in ast.unparse(decorator) for decorator in function.decorator_list)


@pytest.mark.parametrize("path", modules(), ids=name)
def test_a_module_is_short_and_says_what_it_is(path):
    text = path.read_text()
    assert text.count("\n") <= LONGEST_MODULE
    assert path.stem not in FORBIDDEN_NAMES
    if "migrations" not in path.parts:
        docstring, _ = outline(path)
        assert docstring, "no docstring"
        assert "\n" not in docstring.split("\n\n")[0], "what a module is, is said in one line"


@pytest.mark.parametrize("path", modules(), ids=name)
def test_a_function_is_short(path):
    _, lengths = outline(path)
    assert not [(function, lines) for function, lines in lengths if lines > LONGEST_FUNCTION]


@pytest.mark.parametrize("path", [p for p in sources() if p.stem == "tasks"], ids=name)
def test_a_task_only_says_when(path):
    long = {f.name: body_lines(f) for f in functions(path) if is_task(f)}
    assert long, "tasks.py without a task"
    assert all(lines <= LONGEST_TASK for lines in long.values()), long


@pytest.mark.parametrize("path", sources(), ids=name)
def test_a_module_is_tested(path):
    """`validator/jobs/store.py` by `tests/validator/jobs/test_store.py` or `test_store_*.py`."""
    is_excepted = path.stem in WIRING or name(path) in PROVED_BY
    assert mirrors(path) or is_excepted


def mirrors(path: Path) -> list[Path]:
    """The test files of a module, without those of a neighbour whose name begins the same."""
    folder = TESTS / path.relative_to(ROOT).parent
    others = {f"test_{one.name}" for one in path.parent.glob("*.py")}
    more = [one for one in folder.glob(f"test_{path.stem}_*.py") if one.name not in others]
    return [one for one in (folder / f"test_{path.name}", *more) if one.exists()]


@pytest.mark.parametrize("excepted", PROVED_BY)
def test_an_exception_is_for_a_module_without_a_test_of_its_own(excepted):
    path = ROOT / excepted
    assert path.exists()
    assert path.stem not in WIRING
    assert not mirrors(path), "an exception that is not needed any more"


@pytest.mark.parametrize(("proved", "proof"), PROVED_BY.items())
def test_a_proof_elsewhere_names_the_module(proved, proof):
    module = proved.removesuffix(".py").replace("/", ".")
    assert any(f"{one}.".startswith(f"{module}.") for one in named_by(ROOT / proof))


def named_by(path: Path) -> set[str]:
    """The modules that a file imports, with the names it takes from them, and all its texts."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Import():
                found |= {alias.name for alias in node.names}
            case ast.ImportFrom(module=str(module)):
                found |= {module, *(f"{module}.{one.name}" for one in node.names)}
            case ast.Constant(value=str(text)):
                found.add(text)
    return found


@pytest.mark.parametrize("path", tracked(), ids=name)
def test_a_file_names_no_folder_of_one_machine(path):
    try:
        text = path.read_text()
    except UnicodeDecodeError:
        return
    assert not MACHINE_PATH.search(text)
