"""Which paths inside a container a job may have its artifacts directory at; pure."""

import posixpath
from pathlib import PurePosixPath

# The kernel's file systems.
FORBIDDEN = ("/proc", "/sys", "/dev")
# Mounted by the executor.
RESERVED_PATHS = ("/volume", "/output", "/specs", "/script.py")


def normalized(path: str) -> str:
    """A path normalized as the engine does before it compares or mounts it."""
    clean = posixpath.normpath(path)
    # Two slashes at the beginning may mean something of their own, but not to the engine.
    return "/" + clean.lstrip("/") if clean.startswith("/") else clean


def is_forbidden(path: str) -> bool:
    """Whether a normalized path is one of the kernel's file systems or below one."""
    return any(PurePosixPath(path).is_relative_to(root) for root in FORBIDDEN)


def artifacts_dir_problem(path: str) -> str | None:
    """Why the artifacts directory cannot be mounted at `path`, or None when it can."""
    clean = normalized(path)
    if not path.startswith("/") or clean == "/":
        return "is not an absolute path below /"
    if ".." in PurePosixPath(path).parts or ":" in path or "\0" in path or "//" in path:
        return "holds `..`, `//`, a colon or a NUL"
    if clean in RESERVED_PATHS or is_forbidden(clean):
        return "is taken by the system or by the inputs and outputs of jobs"
    return None
