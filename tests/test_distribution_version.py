"""The version of a distribution is that of its metadata, also if that has a name of another form."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from gapcast.text.distribution_version import version_of


def install(folder: Path, name: str, distribution: str) -> None:
    """Write the metadata of version 1.2 of ``distribution`` to a folder ``name``."""
    (folder / name).mkdir()
    (folder / name / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n", encoding="utf-8"
    )


@pytest.mark.parametrize("distribution", ["gapcast", "numpy", "paho-mqtt"])
def test_version_of_installed_distribution_equals_its_metadata(distribution: str) -> None:
    assert version_of(distribution) == version(distribution)


@pytest.mark.parametrize("name", ["of_a_test-1.2.dist-info", "of.a.test-1.2.dist-info", "of_a_test.egg-info"])
def test_version_of_folder_of_any_form_is_found(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, name, "of-a-test")
    if name.endswith(".egg-info"):
        (tmp_path / name / "METADATA").rename(tmp_path / name / "PKG-INFO")
    monkeypatch.syspath_prepend(str(tmp_path))
    version_of.cache_clear()
    assert version_of("of-a-test") == "1.2"


def test_version_of_missing_distribution_raises() -> None:
    with pytest.raises(PackageNotFoundError, match="no-such-distribution"):
        version_of("no-such-distribution")
