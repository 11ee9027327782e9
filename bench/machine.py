"""Description of the machine, which gives the figures their meaning."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench import broker

PACKAGES = ("gapcast", "paho-mqtt", "ai-edge-litert", "tflite-runtime", "numpy", "pydantic", "fastapi", "uvicorn")


def describe() -> dict[str, object]:
    """Return the machine, its software and its load, for the head of a report."""
    cpu_info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    memory_info = Path("/proc/meminfo").read_text(encoding="utf-8")
    cpu = re.search(r"(?m)^(?:model name|Model)\s*:\s*(.+)$", cpu_info)
    memory = re.search(r"MemTotal:\s*(\d+)", memory_info)
    return {
        "cpu": cpu[1] if cpu else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": round(int(memory[1]) * 1_024 / 1e9, 1) if memory else None,
        "architecture": platform.machine(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "mosquitto": broker.version(),
        "packages": {name: found for name in PACKAGES if (found := _installed(name))},
        "load_average_at_start": [round(load, 2) for load in os.getloadavg()],
    }


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
