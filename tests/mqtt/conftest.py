"""Excludes the tests that compare gapcast's frames with paho's decoders if paho has no decoders, before 2.2.

The frames import nothing of paho.
"""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore = ["test_frames.py"] if find_spec("paho.mqtt._packet") is None else []
