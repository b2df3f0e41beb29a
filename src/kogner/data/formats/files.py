"""Text files as they come: gzip or xz, a byte order mark, CRLF, and clear errors for what is not text."""

from __future__ import annotations

import gzip
import lzma
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, cast

from kogner.errors import InputError

_GZIP, _XZ, _BOM = b"\x1f\x8b", b"\xfd7zXZ\x00", b"\xef\xbb\xbf"
DAMAGED = (EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error)
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (1-based number, line) without line ends; LF and CRLF end a line, no other character does.

    Raises InputError, with the line and byte offset where there is one, for a file that is missing, empty, binary,
    damaged or not UTF-8.
    """
    number = 0
    try:
        with opened(path) as stream:
            for number, line in lines_of(stream, path):
                yield number, line
    except DAMAGED as error:
        raise InputError(f"the compressed file is damaged after line {number} ({error})", path=path) from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", path=path) from error
    if number == 0:
        raise InputError("the file is empty", path=path)


def lines_of(stream: Iterable[bytes], path: Path) -> Iterator[tuple[int, str]]:
    """`lines`, of the raw lines of something that is open. path: what errors call it."""
    offset = 0
    for number, raw in enumerate(stream, start=1):
        line = raw.removesuffix(b"\n").removesuffix(b"\r")
        if number == 1:
            line = line.removeprefix(_BOM)
            _check_text(raw, path)
        try:
            yield number, line.decode("utf-8")
        except UnicodeDecodeError as error:
            at = offset + error.start + (len(_BOM) if number == 1 and raw.startswith(_BOM) else 0)
            raise InputError(
                f"not UTF-8: byte 0x{line[error.start]:02x} at byte offset {at}; convert the file to UTF-8, "
                "e.g. with: iconv -f latin1 -t utf-8",
                path=path, line=number,
            ) from error  # fmt: skip
        offset += len(raw)


def read_bytes(path: Path) -> bytes:
    """The whole content, decompressed. Raises InputError for a file that is missing, empty or damaged."""
    try:
        with opened(path) as stream:
            data = stream.read()
    except DAMAGED as error:
        raise InputError(f"the compressed file is damaged ({error})", path=path) from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", path=path) from error
    if not data:
        raise InputError("the file is empty", path=path)
    return data


def opened(path: Path) -> IO[bytes]:
    """The unpacked bytes of a file. Raises InputError for a folder and for what does not exist."""
    if path.is_dir():
        raise InputError("is a folder; a file is needed here", path=path)
    if not path.exists():
        raise InputError("does not exist", path=path)
    with path.open("rb") as stream:
        head = stream.read(len(_XZ))
    if head.startswith(_GZIP):
        return cast(IO[bytes], gzip.open(path, "rb"))
    if head.startswith(_XZ):
        return cast(IO[bytes], lzma.open(path, "rb"))
    return path.open("rb")


def _check_text(first: bytes, path: Path) -> None:
    if first.startswith(_UTF16):
        raise InputError("is UTF-16, not UTF-8; convert it, e.g. with: iconv -f utf-16 -t utf-8", path=path)
    if b"\x00" in first[:8192]:
        raise InputError(f"is a binary file (a zero byte at offset {first.index(0)}), not text", path=path)


def stem(path: Path) -> str:
    """The file's name without its endings: `train` for `train.tsv.xz`."""
    return path.name.split(".")[0] or path.name
