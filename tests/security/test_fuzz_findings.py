"""The fuzz targets without a fuzzer: every stored finding, every seed, and the same mutations of seeds on every run."""

from __future__ import annotations

import io
import random
import tarfile
from pathlib import Path

import pytest

from tests.fuzz.files import repack_archive
from tests.fuzz.mutations import mutate
from tests.fuzz.targets import PARTS, load_target

FIXTURES = Path(__file__).parents[1] / "fixtures" / "fuzz"
FINDINGS = sorted(path for path in FIXTURES.glob("*/*") if path.is_file())
#: Number of mutations of each target's seeds; a start from state files creates an engine for each.
N_MUTATIONS, N_MUTATIONS_OF_STATE = 250, 40

# Numbers that overflow become infinite, which the targets test; numpy's warning about them has no effect.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def test_every_finding_belongs_to_a_target() -> None:
    assert {path.parent.name for path in FINDINGS} <= set(PARTS)


@pytest.mark.parametrize("path", FINDINGS, ids=[f"{path.parent.name}-{path.name}" for path in FINDINGS])
def test_finding_of_the_fuzzer_stays_fixed(path: Path) -> None:
    load_target(path.parent.name).check(path.read_bytes())


@pytest.mark.long
@pytest.mark.parametrize("name", PARTS)
def test_target_accepts_its_seeds_and_their_mutations(name: str) -> None:
    target, draw = load_target(name), random.Random(20_101_101)
    seeds = list(target.seeds())
    for seed in seeds:
        target.check(seed)
    for _ in range(N_MUTATIONS_OF_STATE if PARTS[name] == "state" else N_MUTATIONS):
        data = draw.choice(seeds)
        if target.repack is not None and draw.random() < 0.5:
            data = target.repack(data, draw.getrandbits(32))
        else:
            data = mutate(data, draw, tuple(target.words))
        target.check(data[: target.max_bytes])


def test_repack_archive_with_a_name_that_is_no_utf8_makes_an_archive() -> None:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name in ("\udcc3", "card.json"):
            tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    assert all(repack_archive(data.getvalue(), seed) for seed in range(50))


def test_repack_archive_with_a_record_of_absurd_length_returns_bytes() -> None:
    header = tarfile.TarInfo("PaxHeaders")
    header.type, record = tarfile.XHDTYPE, b"99999999999999999999 path=x\n"
    header.size = len(record)
    data = header.tobuf() + record.ljust(tarfile.BLOCKSIZE, b"\0") + tarfile.TarInfo("x").tobuf()
    assert repack_archive(data, 1)
