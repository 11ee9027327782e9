"""Leaves out tests that compare our frames with paho's decoders where it has none, before 2.2.

What they test imports nothing of paho.
"""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore = ["test_compiled_packets.py", "test_frames.py"] if find_spec("paho.mqtt._packet") is None else []
