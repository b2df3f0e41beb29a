"""Files as they come: gzip, xz or zstd, a byte order mark, CRLF, and clear errors for what is not text or too long."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import shutil
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from kogner.errors import InputError

PACKED = (".gz", ".xz", ".zst")  # endings
MOST_BYTES = 4 << 30  # unpacked, of a file that has to be read as a whole
LONGEST_LINE = 256 << 20  # bytes; a document of a format that has one a line
LARGEST_RECORD = 64 << 20  # bytes of XML of one document; its tree may take thirty times that

_GZIP, _XZ, _ZSTD, _BOM = b"\x1f\x8b", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd", b"\xef\xbb\xbf"
DAMAGED = (EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error)
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def lines(path: Path, *, ends: bool = False) -> Iterator[tuple[int, str]]:
    """Yield (1-based number, line) without line ends; LF and CRLF end a line, no other character does.

    ends: with them, as they are.

    Raises InputError, with the line and byte offset where there is one, for a file that is missing, empty, binary,
    damaged or not UTF-8.
    """
    number = 0
    try:
        with opened(path) as stream:
            for number, line in lines_of(stream, path, ends=ends):
                yield number, line
    except DAMAGED as error:
        raise InputError(f"the compressed file is damaged after line {number} ({error})", path=path) from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", path=path) from error
    if number == 0:
        raise InputError("the file is empty", path=path)


def lines_of(stream: Iterable[bytes], path: Path, *, ends: bool = False) -> Iterator[tuple[int, str]]:
    """`lines`, of the raw lines of something that is open. path: what errors call it."""
    offset = 0
    for number, raw in enumerate(_raw_lines(stream), start=1):
        if len(raw) > LONGEST_LINE:
            raise InputError(
                f"a line of more than {LONGEST_LINE:,} bytes; give a document a line", path=path, line=number
            )
        line = raw if ends else raw.removesuffix(b"\n").removesuffix(b"\r")
        if number == 1:
            line = line.removeprefix(_BOM)
            check_text(raw, path)
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


def _raw_lines(stream: Iterable[bytes]) -> Iterator[bytes]:
    """Lines of which none is read further than its limit, so that a packed file cannot fill the memory with one."""
    if not hasattr(stream, "readline"):
        yield from stream
        return
    while raw := stream.readline(LONGEST_LINE + 1):
        yield raw


def read_bytes(path: Path) -> bytes:
    """The whole content, decompressed.

    Raises InputError for a file that is missing, empty, damaged, or longer than MOST_BYTES.
    """
    try:
        with opened(path) as stream:
            data = b"".join(_pieces(stream))
    except DAMAGED as error:
        raise InputError(f"the compressed file is damaged ({error})", path=path) from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", path=path) from error
    if not data:
        raise InputError("the file is empty", path=path)
    if len(data) > MOST_BYTES:
        raise InputError(f"holds more than {MOST_BYTES:,} bytes, which are read at once; split it", path=path)
    return data


def _pieces(stream: IO[bytes]) -> Iterator[bytes]:
    """Up to MOST_BYTES and a little more; read at once they would be asked of the system whatever the file holds."""
    held = 0
    while held <= MOST_BYTES and (piece := stream.read(1 << 20)):
        held += len(piece)
        yield piece


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
    if head.startswith(_ZSTD):
        import pyarrow

        unpacked = pyarrow.CompressedInputStream(pyarrow.OSFile(str(path), "rb"), "zstd")
        return cast(IO[bytes], io.BufferedReader(unpacked, 1 << 16))
    return path.open("rb")


def is_packed(path: Path) -> bool:
    """Whether a file begins as one does that `opened` unpacks."""
    with path.open("rb") as stream:
        return stream.read(len(_XZ)).startswith((_GZIP, _XZ, _ZSTD))


@contextmanager
def packed(path: Path, *, folder: bool = False) -> Iterator[Path]:
    """Where to write a file: itself, or one beside it that is packed at the end, for a name with .gz, .xz or .zst.

    The same content gives the same file. folder: whether it is one, which is not packed.
    """
    ending = path.suffix.lower()
    if folder or ending not in PACKED:
        yield path
        return
    plain, temporary = (path.with_name(f".{path.name}.{os.getpid()}.{what}") for what in ("plain", "tmp"))
    try:
        yield plain
        with plain.open("rb") as source, _packer(temporary, ending) as packer:
            shutil.copyfileobj(source, packer, 1 << 20)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        plain.unlink(missing_ok=True)
        temporary.unlink(missing_ok=True)


@contextmanager
def _packer(path: Path, ending: str) -> Iterator[IO[bytes]]:
    """A file that packs what is written to it."""
    if ending == ".gz":
        with path.open("wb") as stream, gzip.GzipFile(filename="", fileobj=stream, mode="wb", mtime=0) as packer:
            yield cast(IO[bytes], packer)
    elif ending == ".xz":
        with lzma.open(path, "wb") as packer:
            yield cast(IO[bytes], packer)
    else:
        import pyarrow

        with pyarrow.CompressedOutputStream(str(path), "zstd") as packer:
            yield packer


class Record:
    """A stream of XML of which one document may take LARGEST_RECORD bytes; `done` begins the next."""

    def __init__(self, stream: IO[bytes], path: Path) -> None:
        self._stream, self._path, self._read = stream, path, 0

    def read(self, size: int = -1) -> bytes:
        """Bytes of the stream. Raises InputError where a document has more than it may."""
        found = self._stream.read(size)
        self._read += len(found)
        if self._read > LARGEST_RECORD:
            raise InputError(f"a document of more than {LARGEST_RECORD:,} bytes of XML", path=self._path)
        return found

    def done(self) -> None:
        """A document has ended."""
        self._read = 0


def without_packing(name: str) -> str:
    """A file's name without the ending of its packing.

    >>> without_packing("abstracts.tsv.zst")
    'abstracts.tsv'
    """
    return next((name.removesuffix(one) for one in PACKED if name.lower().endswith(one)), name)


def check_text(first: bytes, path: Path) -> None:
    """Raise InputError for the beginning of what is UTF-16 or no text at all."""
    if first.startswith(_UTF16):
        raise InputError("is UTF-16, not UTF-8; convert it, e.g. with: iconv -f utf-16 -t utf-8", path=path)
    if b"\x00" in first[:8192]:
        raise InputError(f"is a binary file (a zero byte at offset {first.index(0)}), not text", path=path)


def stem(path: Path) -> str:
    """The file's name without its endings: `train` for `train.tsv.xz`."""
    return path.name.split(".")[0] or path.name
