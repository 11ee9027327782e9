"""Reads the text of a file of readings, plain, gzipped or in a zip, line by line."""

from __future__ import annotations

import gzip
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

from gapcast.core.errors import SourceError

BLOCK_BYTES = 1 << 20
#: Errors raised by a damaged gzip or zip file, also in its names and headers.
_DAMAGED = (
    zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError, UnicodeDecodeError, struct.error, NotImplementedError,
)  # fmt: skip
_ZIP_BEGINS, _GZIP_BEGINS = b"PK", b"\x1f\x8b"
#: Byte order marks of UTF-16, in which Windows PowerShell writes the output of a command.
_UTF16_BEGINS = (b"\xff\xfe", b"\xfe\xff")
#: Files in workbooks of Excel and of LibreOffice, which are zips.
_WORKBOOK = {"[Content_Types].xml", "META-INF/manifest.xml"}
_SHOWN = 60


class Readable(Protocol):
    """A stream of bytes, read in blocks."""

    def read(self, size: int, /) -> bytes:
        """Return at most ``size`` bytes; empty at the end."""


@contextmanager
def open_text(path: Path, member: str | None = None) -> Iterator[tuple[Readable, int | None]]:
    """Open the text at ``path``, decompressed if it is a gzip or zip file; yield it with its length in bytes, if known.

    ``member`` names the file to read in a zip with several. The compression is detected by the first bytes.
    Raises :class:`SourceError` if the file is missing, or cannot be read completely.
    """
    try:
        with path.open("rb") as stream:
            begins = stream.read(2)  # is_zipfile would treat a truncated zip as text
            stream.seek(0)
            if begins == _ZIP_BEGINS:
                with zipfile.ZipFile(stream) as archive:
                    found = _member(path, archive, member)
                    with _opened(path, archive, found) as text:
                        yield text, found.file_size
            elif begins == _GZIP_BEGINS:
                with gzip.open(stream) as text:
                    yield text, None
            else:
                yield stream, path.stat().st_size
    except _DAMAGED as error:
        raise SourceError(path, f"cannot be read to its end ({error}): copy or download it again") from error
    except OSError as error:
        raise SourceError(path, f"cannot be read ({error.strerror or error})") from error


def blocks(stream: Readable, digest: Callable[[bytes], None], advance: Callable[[int], object]) -> Iterator[bytes]:
    """Yield ``stream`` in blocks of whole lines, without the line feed at the end of each block.

    Passes the read bytes to ``digest`` and their number to ``advance``. If a line is too long for readings, the block
    ends within it, and the caller rejects it.
    """
    rest = b""
    while block := stream.read(BLOCK_BYTES):
        digest(block)
        advance(len(block))
        found, ends, rest = (rest + block).rpartition(b"\n")
        if ends:
            yield found
        if len(rest) > BLOCK_BYTES:
            yield rest
            rest = b""
    if rest:
        yield rest


def lines_of(block: bytes) -> Iterator[bytes]:
    """Yield the lines of a block without line ends."""
    for line in block.split(b"\n"):
        yield line.rstrip(b"\r")


def lines(stream: Readable, digest: Callable[[bytes], None], advance: Callable[[int], object]) -> Iterator[bytes]:
    """Yield the lines of ``stream`` without line ends; see :func:`blocks`."""
    for block in blocks(stream, digest, advance):
        yield from lines_of(block)


def decoded(path: Path, found: Iterator[bytes], first_number: int = 1) -> Iterator[str]:
    """Yield the lines ``found`` in the file at ``path`` as text, the first one without a byte order mark.

    ``first_number`` is the number of the first line of ``found``. Raises :class:`SourceError`, with the line, if a line
    is too long or not UTF-8.
    """
    for number, line in enumerate(found, first_number):
        if len(line) > BLOCK_BYTES:
            raise SourceError(path, "is longer than any line of readings: is it a text?", number)
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            is_utf16 = line[:2] in _UTF16_BEGINS
            found_in, encoding = ("UTF-16 text", "UTF-16") if is_utf16 else (quoted(line), "WINDOWS-1252")
            fix = f"save it as UTF-8, or convert it: iconv -f {encoding} -t UTF-8 FILE > NEW"
            raise SourceError(path, f"is not UTF-8 text: {found_in}: {fix}", number) from error


def quoted(text: bytes | str) -> str:
    """Return the start of a text in quotes, for error messages.

    >>> quoted(b"1;2"), len(quoted("x" * 100))
    ("'1;2'", 63)
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")


def _is_beside(name: str) -> bool:
    """Return whether a member of a zip is a folder, or metadata that macOS stores beside a file."""
    return name.endswith("/") or name.startswith("__MACOSX/") or Path(name).name.startswith("._")


def _member(path: Path, archive: zipfile.ZipFile, name: str | None) -> zipfile.ZipInfo:
    # ZipInfo.is_dir() fails on an empty name.
    files = [member for member in archive.infolist() if not _is_beside(member.filename)]
    if _WORKBOOK & {member.filename for member in files}:
        raise SourceError(path, "is a workbook of a spreadsheet program: save the sheet with the readings as CSV")
    found = [member for member in files if len(files) == 1 or Path(member.filename).name == name]
    if len(found) != 1:
        names = ", ".join(member.filename for member in files[:3]) or "nothing"
        wanted = "exactly one file" if name is None else f"one {name}"
        raise SourceError(path, f"is a zip without {wanted} in it (it holds {names})")
    return found[0]


def _opened(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> IO[bytes]:
    try:
        return archive.open(member)
    except (NotImplementedError, RuntimeError) as error:  # unsupported compression, or encrypted
        raise SourceError(path, f"is a zip that cannot be opened ({error}): unpack it first") from error
