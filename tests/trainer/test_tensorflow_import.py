"""The memory of a training: arrays that are freed serve the next step."""

from __future__ import annotations

import subprocess
import sys

import pytest

_PAGES_OF_SECOND_ARRAY = """
import resource
import numpy as np
{setting}

def page_faults(n_bytes=100_000_000):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(n_bytes, np.int8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

page_faults()
print(page_faults())
"""
_REUSE = "from gapcast_trainer.commands.tensorflow_import import _reuse_freed_memory; _reuse_freed_memory()"


@pytest.mark.skipif(sys.platform != "linux", reason="the setting exists in glibc only")
def test_freed_memory_is_reused_without_new_pages() -> None:
    assert _faults_of_second_array("") > 50, "the system returns freed memory, so the setting is worth something"
    assert _faults_of_second_array(_REUSE) < 10


def _faults_of_second_array(setting: str) -> int:
    code = _PAGES_OF_SECOND_ARRAY.format(setting=setting)
    return int(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)
