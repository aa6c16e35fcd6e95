"""Builds the images of the kind `llm` from the Python that runs this, without a registry."""

import io
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path

from localnet import images
from localnet.images import ImageSpec

PROMPTS, SOLVER = "computehorde/llm-prompts:v1", "computehorde/llm-solver:v1"
_ROOT = Path(__file__).parent.parent
_MODULES = {
    PROMPTS: "validator.llm.programs.prompts",
    SOLVER: "validator.llm.programs.solver",
}
# Prints the files of the modules that the programs import.
_LIST = (
    "import sys, {}; print(*(one.__file__ for one in sys.modules.values() "
    "if getattr(one, '__file__', None)), sep='\\n')"
)


def build() -> None:
    """Build both images, where they are missing or changed; raises `NoImageError`."""
    root = _root()
    for name, module in _MODULES.items():
        entry = f'ENTRYPOINT ["{_python()}", "-S", "-m", "{module}"]'
        images.import_image(name, root, ImageSpec((entry, "ENV PYTHONPATH=/app")))


def _python() -> Path:
    return Path(sys.executable).resolve()


def _root() -> bytes:
    """A tar archive with this Python, what the programs import, and the programs in /app."""
    library = Path(sysconfig.get_path("stdlib"))
    imported = [path for path in _imported() if library in path.parents]
    files = {_python(), *imported, *(library / "encodings").glob("*.py"), library / "os.py"}
    binaries = [path for path in files if path.suffix != ".py"]
    # The C library loads it by itself when a thread is ended.
    unwinder = Path("/lib", sysconfig.get_config_var("MULTIARCH") or "", "libgcc_s.so.1")
    files |= {unwinder} if unwinder.exists() else set()
    shared = {Path(path) for one in binaries for path in images.shared_libraries(one)}
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", dereference=True) as root:
        for path in sorted(files | shared):
            root.add(path, str(path).lstrip("/"), filter=_plain)
        for part in ("__init__.py", "llm/__init__.py", "llm/programs"):
            root.add(_ROOT / "validator" / part, f"app/validator/{part}", filter=_plain)
    return archive.getvalue()


def _imported() -> list[Path]:
    command = [str(_python()), "-S", "-c", _LIST.format(", ".join(_MODULES.values()))]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=True)
    return [Path(line) for line in done.stdout.splitlines()]


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """An entry for everybody to read, the same at every build."""
    if "__pycache__" in Path(entry.name).parts:
        return None
    entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname = 0, 0, 0, "", ""
    entry.mode = 0o755
    return entry
