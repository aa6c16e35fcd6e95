"""The wheel, installed in an empty environment, is the command and package its README says."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import compute_horde_sdk

ROOT = Path(__file__).parents[2]
UV = ROOT / ".venv-tools" / "bin" / "uv"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def done(*words, **options):
    finished = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, check=False, **options
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    done(UV, "build", "--quiet", "--wheel", "--out-dir", folder, ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The `bin` folder of an environment with nothing but the wheel and what it requires."""
    home = tmp_path_factory.mktemp("empty") / "venv"
    done(UV, "venv", "--quiet", "--python", sys.executable, home)
    done(UV, "pip", "install", "--quiet", "--python", home / "bin" / "python", wheel)
    return home / "bin"


@pytest.mark.timeout(300)
def test_the_wheel_works_in_an_empty_environment(installed, tmp_path):
    version = PROJECT["version"]
    assert done(installed / "compute-horde", "--version") == f"compute-horde {version}\n"
    assert "USER_HOTKEY_FILE" in done(installed / "compute-horde", "run", "-h")
    code = "import compute_horde_sdk, compute_horde_sdk.v1 as v1; print(v1.__file__, v1.run)"
    where = done(installed / "python", "-c", code, cwd=tmp_path)
    assert str(installed.parent) in where
    every = "import pkgutil, compute_horde_sdk, compute_horde, importlib\n" + (
        "for one in (compute_horde_sdk, compute_horde):\n"
        "    for found in pkgutil.walk_packages(one.__path__, one.__name__ + '.'):\n"
        "        found.name.endswith('__main__') or importlib.import_module(found.name)"
    )
    done(installed / "python", "-c", every, cwd=tmp_path)


@pytest.mark.timeout(300)
def test_the_wheel_says_that_it_is_typed_and_what_it_is(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        text = archive.read(metadata).decode()
    assert {"compute_horde/py.typed", "compute_horde_sdk/py.typed"} <= set(names)
    assert "Provides-Extra: fallback" in text
    assert re.search(r"^Requires-Dist: skypilot.*extra == .fallback", text, re.MULTILINE)
    assert "Project-URL: Homepage" in text
    assert "another program" in text
    assert "make demo" not in text


def test_the_version_is_said_once():
    assert compute_horde_sdk.__version__ == PROJECT["version"]


def test_nobody_is_told_to_install_the_other_program():
    """The name on the public index is not ours."""
    pages = [ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("compute_horde_sdk/*.md")]
    for page in pages:
        assert not re.search(r"pip install '?\"?compute[-_]horde[-_]sdk\b", page.read_text()), page
