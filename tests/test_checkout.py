"""The tests run the code of their own checkout, in this process and in the ones that they start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import gapcast
from tests.support.waiting import GUARD_S


def test_processes_started_by_tests_import_the_package_that_tests_import(tmp_path: Path) -> None:
    tested = Path(gapcast.__file__).resolve()
    command = [sys.executable, "-P", "-c", "import gapcast; print(gapcast.__file__)"]
    started = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=GUARD_S)
    fix = f"set PYTHONPATH={tested.parents[1]} (now {os.environ.get('PYTHONPATH')}), or run scripts/test"
    assert Path(started.stdout.strip()).resolve() == tested, fix
