"""Collects the hardware specification of this machine, as far as it is readable."""

import asyncio
import csv
import os
import platform
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

KIB = 1024
GPU_SECONDS = 10
GPU_KEYS = {
    "name": "name",
    "driver": "driver_version",
    "capacity": "memory.total",
    "cuda": "compute_cap",
    "power_limit": "power.limit",
    "graphics_speed": "clocks.gr",
    "memory_speed": "clocks.mem",
    "uuid": "uuid",
    "serial": "serial",
}


async def collect(work_dir: Path) -> dict[str, Any]:
    """All sections; one that fails is replaced by `<section>_scrape_error`."""
    specs: dict[str, Any] = {}
    try:
        specs["gpu"] = await _gpus()
    except (OSError, ValueError, TimeoutError) as exc:
        specs["gpu_scrape_error"] = _error_text(exc)
    sections: dict[str, Callable[[], Any]] = {
        "cpu": _cpu,
        "ram": _ram,
        "hard_disk": lambda: _disk(work_dir),
        "os": _system,
    }
    for name, section in sections.items():
        try:
            specs[name] = section()
        except (OSError, ValueError, KeyError) as exc:
            specs[f"{name}_scrape_error"] = _error_text(exc)
    return specs


def _error_text(exc: Exception) -> str:
    return f"{type(exc).__name__}: {exc}"[:500]


async def _gpus() -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        "nvidia-smi",
        f"--query-gpu={','.join(GPU_KEYS.values())}",
        "--format=csv,noheader,nounits",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(GPU_SECONDS):
            stdout, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode:
        raise ValueError(f"nvidia-smi ended with {process.returncode}")
    return parse_gpus(stdout.decode())


def parse_gpus(text: str) -> dict[str, Any]:
    """The `gpu` section from the CSV output of nvidia-smi, one line for each device."""
    rows = [row for row in csv.reader(text.splitlines(), skipinitialspace=True) if row]
    details = [dict(zip(GPU_KEYS, row, strict=True)) for row in rows]
    return {"count": len(details), "details": details}


def _cpu() -> dict[str, Any]:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    facts = [line.partition(":") for line in lines]
    clocks = [float(value) for key, _, value in facts if key.strip() == "cpu MHz"]
    models = [value.strip() for key, _, value in facts if key.strip() == "model name"]
    return {
        "count": os.cpu_count(),
        "model": models[0] if models else platform.machine(),
        "clocks": clocks,
    }


def _ram() -> dict[str, int]:
    lines = Path("/proc/meminfo").read_text().splitlines()
    kib = {key: int(value.split()[0]) for key, _, value in (x.partition(":") for x in lines)}
    total, free = kib["MemTotal"], kib["MemFree"]
    available = kib["MemAvailable"]
    return {"available": available, "free": free, "total": total, "used": total - available}


def _disk(work_dir: Path) -> dict[str, int]:
    usage = shutil.disk_usage(work_dir)
    return {"total": usage.total // KIB, "used": usage.used // KIB, "free": usage.free // KIB}


def _system() -> str:
    facts = platform.freedesktop_os_release()
    return facts.get("PRETTY_NAME") or facts["NAME"]
