"""Archives that unpack to far more than their size are rejected before they are unpacked, in a child process."""

from __future__ import annotations

import io
import struct
import tarfile
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from gapcast.core.errors import ModelError
from gapcast.predictors.installation.archive import MAX_MEMBERS, read_archive
from gapcast.predictors.installation.packed_model import read_packed
from gapcast.predictors.models_folder.files import ModelFiles
from gapcast.predictors.trials.confinement import ChildLimits, run_confined
from tests.support.models import shipped_models

MB = 1 << 20
#: Unpacked size of each archive, bytes, and the memory that reading it may take.
BOMB_BYTES, MOST_MEMORY_BYTES = 1_600 * MB, 32 * MB
MODEL, CARD = "model.tflite", "card.json"


def zeros_gz(n_bytes: int) -> bytes:
    """Return ``n_bytes`` zeros as consecutive gzip streams, which unpack to one: a thousandth of their size."""
    step = 16 * MB
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    one = packer.compress(bytes(step)) + packer.flush()
    return one * (n_bytes // step)


def gz(content: bytes) -> bytes:
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    return packer.compress(content) + packer.flush()


def tar_header(name: str, kind: bytes, n_bytes: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, n_bytes
    return info.tobuf(tarfile.GNU_FORMAT)


def bomb(kind: bytes, name: str = "notes.txt") -> bytes:
    return gz(tar_header(name, kind, BOMB_BYTES)) + zeros_gz(BOMB_BYTES)


def pax_record(key: str, value: str) -> bytes:
    rest = f" {key}={value}\n"
    n_digits = 2 if len(rest) < 98 else 3
    return f"{len(rest) + n_digits}{rest}".encode()


def with_pax(*records: bytes) -> bytes:
    text = b"".join(records)
    padded = text + bytes(-len(text) % 512)
    return tar_header("pax", tarfile.XHDTYPE, len(text)) + padded + tar_header(MODEL, tarfile.REGTYPE, 0)


def chain_of_headers() -> bytes:
    record = pax_record("comment", "x")
    one = tar_header("pax", tarfile.XHDTYPE, len(record)) + record + bytes(512 - len(record))
    return gz(one * 20_000)


def endless_sparse_map() -> bytes:
    """Return a header of the old GNU form whose map of holes continues from block to block."""
    header = bytearray(tar_header(MODEL, tarfile.GNUTYPE_SPARSE, 512))
    header[482] = 1
    header[148:156] = b"%06o\0 " % (sum(header[:148]) + 8 * 32 + sum(header[156:]))
    block = b"00000000001\0" * 42 + b"\x01" + bytes(7)
    return gz(bytes(header) + block * 100_000)


def zip_end(n_members: int, n_directory: int) -> bytes:
    return struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, n_members, n_members, n_directory, 0, 0)


def zip64(n_members: int, n_directory: int) -> bytes:
    """Return a directory in the form for archives of more than 4 GB, beside a contradicting one."""
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1 << 20, 1 << 20, 8 * MB, 0)
    return bytes(8 * MB) + record + struct.pack("<4sLQL", b"PK\x06\x07", 0, 8 * MB, 1) + zip_end(n_members, n_directory)


def zipped(method: int, content: bytes = b"") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr(MODEL, content)
        archive.writestr(CARD, b"{}")
    return file.getvalue()


def understated() -> bytes:
    """Return a member that claims, in both its headers, to have 10 bytes, and has 64 MB."""
    content = bytearray(zipped(zipfile.ZIP_DEFLATED, bytes(64 * MB)))
    for at in (content.find(b"PK\x03\x04") + 22, content.find(b"PK\x01\x02") + 24):
        content[at : at + 4] = (10).to_bytes(4, "little")
    return bytes(content)


ARCHIVES: dict[str, tuple[Callable[[], bytes], str]] = {
    "a pax header of 1.6 GB": (lambda: bomb(tarfile.XHDTYPE), "headers that no model needs"),
    "a global pax header of 1.6 GB": (lambda: bomb(tarfile.XGLTYPE), "headers that no model needs"),
    "a pax header of Solaris of 1.6 GB": (lambda: bomb(tarfile.SOLARIS_XHDTYPE), "headers that no model needs"),
    "a long name of 1.6 GB": (lambda: bomb(tarfile.GNUTYPE_LONGNAME), "headers that no model needs"),
    "a long link of 1.6 GB": (lambda: bomb(tarfile.GNUTYPE_LONGLINK), "headers that no model needs"),
    "a file of 1.6 GB": (lambda: bomb(tarfile.REGTYPE), "holds more than"),
    "a model of 1.6 GB": (lambda: bomb(tarfile.REGTYPE, MODEL), "holds more than"),
    "a size of less than nothing": (
        lambda: gz(with_pax(pax_record("size", "-1000000"))),
        "holds more than|cannot be unpacked|it has neither",  # newer versions of tarfile stop there
    ),
    "a size that pax overrides": (lambda: gz(with_pax(pax_record("size", str(BOMB_BYTES)))), "holds more than"),
    "a sparse file of pax": (
        lambda: gz(with_pax(pax_record("GNU.sparse.major", "0"), pax_record("GNU.sparse.size", "99999999999"))),
        "headers that no model needs",
    ),
    "a sparse map without end": (endless_sparse_map, "headers that no model needs"),
    "a chain of headers": (chain_of_headers, "holds more than|cannot be unpacked"),
    "nothing but zeros": (lambda: zeros_gz(BOMB_BYTES), "must hold one model"),
    "a directory of many members": (lambda: zip_end(MAX_MEMBERS + 1, 100), "holds more than"),
    "a directory of many bytes": (lambda: bytes(8 * MB) + zip_end(1, 8 * MB), "holds more than"),
    "a zip64 directory of many members": (lambda: zip64(0xFFFF, 0xFFFFFFFF), "holds more than"),
    "a zip64 directory behind a small one": (lambda: zip64(1, 46), "holds more than"),
    "a member packed by lzma": (lambda: zipped(zipfile.ZIP_LZMA), "a method other than deflate"),
    "a member packed by bzip2": (lambda: zipped(zipfile.ZIP_BZIP2), "a method other than deflate"),
    "a member larger than it says": (understated, "cannot be unpacked .*CRC"),
}


@pytest.mark.parametrize("what", ARCHIVES)
def test_archive_bomb_is_rejected_in_little_memory(tmp_path: Path, what: str) -> None:
    make, problem = ARCHIVES[what]
    file = tmp_path / "model.bin"
    file.write_bytes(make())
    with file.open("rb") as archive:
        tracemalloc.start()
        try:
            with pytest.raises(ModelError, match=problem):
                read_archive(archive, "model.bin")
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak_bytes < MOST_MEMORY_BYTES


def test_archive_larger_than_any_model_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "model.tar"
    with file.open("wb") as archive:
        archive.truncate(BOMB_BYTES)
    with pytest.raises(ModelError, match=r"model\.tar: holds more than 1000 files, or 256 MB"):
        read_packed(file)


def test_archive_that_takes_much_memory_ends_only_its_child(tmp_path: Path) -> None:
    """Numbers of a sparse map in a file's data, which tarfile collects before anyone sees the header."""
    file = tmp_path / "model.tar"
    records = (pax_record("GNU.sparse.major", "1"), pax_record("GNU.sparse.minor", "0"))
    numbers = b"%d\n" % 10_000_000 + b"1\n" * (30 * MB)
    header = with_pax(*records)[:-512] + tar_header(MODEL, tarfile.REGTYPE, len(numbers))
    file.write_bytes(header + numbers)
    limits = ChildLimits(64 * MB, cpu_s=1)
    with file.open("rb") as archive, pytest.raises(ModelError, match=r"^unpacking (used more than 64 MB|took longer)"):
        run_confined("gapcast.predictors.installation.packed_model:unpack", archive, limits, "unpacking")


@pytest.mark.parametrize("name", ["/dev/zero", "/dev/full"])
def test_device_is_no_archive(name: str) -> None:
    with pytest.raises(ModelError, match="is not a regular file"):
        read_packed(Path(name))


@pytest.mark.parametrize("n_others", [MAX_MEMBERS - 2, MAX_MEMBERS - 1])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_archive_of_a_thousand_files_is_the_largest(tmp_path: Path, kind: str, n_others: int) -> None:
    file = tmp_path / "model"
    names = [MODEL, CARD, *(f"notes/{i}" for i in range(n_others))]
    if kind == "zip":
        with zipfile.ZipFile(file, "w") as archive:
            for name in names:
                archive.writestr(name, b"")
    else:
        file.write_bytes(b"".join(tar_header(name, tarfile.REGTYPE, 0) for name in names) + bytes(1_024))
    with file.open("rb") as content:
        if len(names) <= MAX_MEMBERS:
            assert read_archive(content, "model") == ModelFiles(b"", b"")
        else:
            with pytest.raises(ModelError, match="holds more than 1000 files"):
                read_archive(content, "model")


def test_archive_of_a_model_is_read_whole(tmp_path: Path) -> None:
    folder = shipped_models() / "linear"
    file = tmp_path / "model.tgz"
    with tarfile.open(file, "w:gz", format=tarfile.PAX_FORMAT) as archive:
        archive.add(folder, "a" * 150)  # a long name has a header of its own
    found = read_packed(file)
    assert found.model == (folder / MODEL).read_bytes()
    assert found.card == (folder / CARD).read_bytes()
