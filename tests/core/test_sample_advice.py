"""The fix for a meter of minutes that sends samples."""

from __future__ import annotations

import pytest

from gapcast.core.meters.sample_advice import native_as_samples, samples_fix


@pytest.mark.parametrize(
    ("native_topics", "has_sources", "has_minutes", "fix"),
    [
        (["gap/{device}/reading"], False, False, f"add a source with {native_as_samples('gap/{device}/reading')}"),
        ([], True, True, 'set kind = "samples" in its source'),
        ([], True, False, 'set kind = "samples" in its source'),
        (["x/{device}"], True, False, f'set {native_as_samples("x/{device}")} in its source instead of "gapcast"'),
        (["x", "y"], True, False, f'set {native_as_samples("…")} in its source instead of "gapcast"'),
        (
            ["x/{device}"], True, True,
            'set kind = "samples" in its source, or if it sends native readings, set '
            f'{native_as_samples("x/{device}")} in its source instead of "gapcast"',
        ),
    ],
    ids=["native", "minutes", "samples", "native source", "several native sources", "both"],
)  # fmt: skip
def test_samples_fix_names_the_configured_topic(
    native_topics: list[str], has_sources: bool, has_minutes: bool, fix: str
) -> None:
    assert samples_fix(native_topics, has_sources=has_sources, has_minutes=has_minutes) == fix
