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

# By path: modules proved where they are used.
PROVED_BY = {
    "localnet/daemon.py": TESTS / "localnet/test_control.py",
    "localnet/demo.py": TESTS / "network/test_demo.py",
    "miner/assembly.py": TESTS / "miner/test_views.py",
    "miner/metrics.py": TESTS / "miner/test_views.py",
    "miner/web.py": TESTS / "network/test_one_job.py",
    "validator/chain.py": TESTS / "network/test_weights.py",
    "validator/seed.py": TESTS / "network/test_one_job.py",
    "validator/web.py": TESTS / "network/test_one_job.py",
}

# One machine's own folders: neither users nor CI have them.
MACHINE_PATH = re.compile(r"/(?:root|home/\w+|work)/")


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


def modules() -> list[Path]:
    return [
        path
        for path in tracked()
        if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in (*PACKAGES, "tests")
    ]


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
        docstring = ast.get_docstring(ast.parse(text)) or ""
        assert docstring, "no docstring"
        assert "\n" not in docstring.split("\n\n")[0], "what a module is, is said in one line"


@pytest.mark.parametrize("path", modules(), ids=name)
def test_a_function_is_short(path):
    long = {
        function.name: lines
        for function in functions(path)
        if (lines := function.end_lineno - function.lineno + 1) > LONGEST_FUNCTION
    }
    assert not long


@pytest.mark.parametrize("path", [p for p in sources() if p.stem == "tasks"], ids=name)
def test_a_task_only_says_when(path):
    long = {f.name: body_lines(f) for f in functions(path) if is_task(f)}
    assert long, "tasks.py without a task"
    assert all(lines <= LONGEST_TASK for lines in long.values()), long


@pytest.mark.parametrize("path", sources(), ids=name)
def test_a_module_is_tested(path):
    inside = path.relative_to(ROOT)
    if path.stem in WIRING or ".".join(inside.with_suffix("").parts) in imported_by_tests():
        return
    proofs = [proof for part, proof in PROVED_BY.items() if name(path).startswith(part)]
    mirror = TESTS / inside.with_name(f"test_{inside.name}")
    assert mirror.exists() or _feature_is_tested(inside) or any(map(Path.exists, proofs))


def _feature_is_tested(inside: Path) -> bool:
    """The modules of one feature folder are tested together, by the feature's tests."""
    return len(inside.parts) > 2 and any((TESTS / inside.parent).glob("test_*.py"))


@cache
def imported_by_tests() -> frozenset[str]:
    """Each module of ours that some test file imports, with the names it takes from it."""
    found = set()
    for path in modules():
        if path.relative_to(ROOT).parts[0] == "tests" and path.stem.startswith("test_"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    found |= {alias.name for alias in node.names}
                if isinstance(node, ast.ImportFrom) and node.module:
                    found |= {node.module, *(f"{node.module}.{one.name}" for one in node.names)}
    return frozenset(found)


@pytest.mark.parametrize("path", tracked(), ids=name)
def test_a_file_names_no_folder_of_one_machine(path):
    try:
        text = path.read_text()
    except UnicodeDecodeError:
        return
    assert not MACHINE_PATH.search(text)
