"""The language and the dependencies of the code: words, class names, circles, broad excepts."""

import ast
import re
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path

import pytest

from tests.test_shape import PACKAGES, ROOT, name, sources, tracked

# Words of a private language, by the term of the field that stands for each.
FORBIDDEN = {
    "chore": "periodic task",
    "desk": "intake, registry",
    "diary": "recorder",
    "doorman": "limiter",
    "ear": "socket, callback",
    "ears": "callbacks",
    "farewell": "close",
    "floor": "active jobs",
    "heard": "received",
    "heed": "handle",
    "keeper": "supervisor",
    "mouth": "queue",
    "nursery": "prefork server",
    "roster": "scheduler",
    "said": "sent",
    "scribe": "batch writer",
    "seat": "slot, lock",
    "switchboard": "connections",
    "tenancy": "assignment",
    "told": "reported, sent",
    "wary": "limited",
    "whence": "from where",
    "whom": "of whom",
    "wish": "request",
}
# Columns of tables that operators query already; only models.py may have them.
COLUMNS = frozenset({"cancel_told_to", "heard_at", "is_told", "said_by", "told"})
# One name for the same role in each service, or for the row and the value of the same thing.
SAME_MEANING = frozenset(
    {
        "BindingSigner",
        "BindingSignerAdmin",
        "Config",
        "Job",
        "JobAdmin",
        "JobEvent",
        "JobIntake",
        "LiveJob",
        "Manifest",
        "Neuron",
        "OutputRelay",
        "Receipt",
        "ReceiptAdmin",
        "StreamingServer",
        "Validator",
        "ValidatorAdmin",
        "ValidatorConsumer",
    }
)
# In sentences of plain English the others are words like any other.
IN_SENTENCES = FORBIDDEN.keys() - {"said", "told", "heard", "whom", "seat"}
WORD = re.compile(r"[A-Z]?[a-z]+")


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """All nodes of a module's syntax tree; the first is the module."""
    return tuple(ast.walk(ast.parse(path.read_text())))


def defined_names(path: Path) -> list[str]:
    """Names of classes, functions, parameters, variables and attributes that a module defines."""
    found = []
    for node in nodes(path):
        match node:
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                found.append(node.name)
            case ast.arg():
                found.append(node.arg)
            case ast.Name(ctx=ast.Store()):
                found.append(node.id)
            case ast.Attribute(ctx=ast.Store()):
                found.append(node.attr)
    return found


@pytest.mark.parametrize("path", sources(), ids=name)
def test_no_name_is_of_a_private_language(path):
    used = {
        f"{one}: {FORBIDDEN[word.lower()]}"
        for one in defined_names(path)
        if path.name != "models.py" or one not in COLUMNS
        for word in WORD.findall(one)
        if word.lower() in FORBIDDEN
    }
    assert not used


@pytest.mark.parametrize("path", sources(), ids=name)
def test_no_docstring_is_of_a_private_language(path):
    described = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    text = " ".join(
        ast.get_docstring(node) or "" for node in nodes(path) if isinstance(node, described)
    )
    assert not IN_SENTENCES & set(re.findall(r"[a-z]+", text.lower()))


PAGES = [path for path in tracked() if path.suffix == ".md"]


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_no_page_is_of_a_private_language(path):
    assert not IN_SENTENCES & set(re.findall(r"[a-z]+", path.read_text().lower()))


def test_a_class_name_has_one_meaning():
    places = defaultdict(list)
    for path in sources():
        for node in nodes(path)[0].body:
            if isinstance(node, ast.ClassDef):
                places[node.name].append(name(path))
    twice = {one: where for one, where in places.items() if len(where) > 1}
    assert not {one: where for one, where in twice.items() if one not in SAME_MEANING}
    assert twice.keys() >= SAME_MEANING, "names that need no exception any more"


@pytest.mark.parametrize("path", sources(), ids=name)
def test_a_module_catches_everything_at_most_once(path):
    broad = Counter(
        isinstance(node.type, ast.Name) and node.type.id
        for node in nodes(path)
        if isinstance(node, ast.ExceptHandler)
    )
    assert broad["Exception"] + broad["BaseException"] <= 1


@pytest.mark.parametrize("path", sources(), ids=name)
def test_nothing_is_left_to_do_in_a_comment(path):
    assert not re.search(r"\b(TODO|FIXME|XXX|HACK)\b", path.read_text())


def imports() -> dict[str, set[str]]:
    """The modules of ours that each module imports, those for annotations included."""
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in sources()
    }
    found: dict[str, set[str]] = {}
    for module, path in modules.items():
        names: set[str] = set()
        for node in nodes(path):
            if isinstance(node, ast.Import):
                names |= {one.name for one in node.names}
            if isinstance(node, ast.ImportFrom) and node.module:
                full = {f"{node.module}.{one.name}" for one in node.names}
                names |= {one if one in modules else node.module for one in full}
        found[module] = (names & modules.keys()) - {module}
    return found


def test_no_modules_import_each_other_in_a_circle():
    left = imports()
    assert len(left) > 300
    # Whoever imports nothing that is left is in no circle.
    while free := {module for module, needs in left.items() if not needs & left.keys()}:
        left = {module: needs for module, needs in left.items() if module not in free}
    assert not left


def test_every_package_is_looked_at():
    assert {path.relative_to(ROOT).parts[0] for path in sources()} == set(PACKAGES)
