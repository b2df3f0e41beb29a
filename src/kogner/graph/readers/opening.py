"""Files of sources opened for reading, plain or packed with gzip or xz, told by their first bytes."""

from __future__ import annotations

import gzip
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from kogner.errors import InputError

DAMAGE = (EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile)
_PACKED = {b"\x1f\x8b": "gzip", b"\xfd7zXZ\x00": "xz"}
_UNREADABLE = {
    b"PK\x03\x04": "a zip archive",
    b"BZh": "packed with bzip2",
    b"\x28\xb5\x2f\xfd": "packed with zstd",
    b"PAR1": "a Parquet file",
}
_PARQUET = b"PAR1"


def plain_and_packed(file: Path) -> list[Path]:
    """Those that are there of the file itself and the same name with .gz and .xz."""
    places = (file, *(file.with_name(f"{file.name}{ending}") for ending in (".gz", ".xz")))
    return [place for place in places if place.is_file()]


def packed(file: Path) -> Path | None:
    """The first of `plain_and_packed`; None where none is there."""
    return next(iter(plain_and_packed(file)), None)


def packing_of(path: Path) -> str:
    """`gzip`, `xz`, `parquet` or `plain`. Raises InputError for a file that is not there or may not be read."""
    start = _start(path)
    if start.startswith(_PARQUET):
        return "parquet"
    return next((name for magic, name in _PACKED.items() if start.startswith(magic)), "plain")


@contextmanager
def opened(path: Path, *, wanted: str = "text") -> Iterator[IO[bytes]]:
    """The unpacked bytes of a file. wanted: what is needed, for the message about a file of another kind.

    Raises InputError where the file is not there, packed otherwise, cut short or damaged.
    """
    start = _start(path)
    packing = next((name for magic, name in _PACKED.items() if start.startswith(magic)), "plain")
    what = next((name for magic, name in _UNREADABLE.items() if start.startswith(magic)), None)
    if what:
        raise InputError(f"is {what}; {wanted} is needed, plain or as .gz or .xz", path=path)
    try:
        with path.open("rb") as raw:
            if packing == "gzip":
                yield gzip.GzipFile(fileobj=raw)  # type: ignore[misc]
            elif packing == "xz":
                with lzma.LZMAFile(raw) as unpacked:
                    yield unpacked
            else:
                yield raw
    except DAMAGE as error:
        raise InputError(
            f"the {packing} file is cut short or damaged ({error}); fetch or pack it again", path=path
        ) from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", path=path) from error


def lines(path: Path, *, wanted: str = "tab-separated text") -> Iterator[tuple[int, str]]:
    """Yield (1-based line number, line without its end), whatever the packing, byte-order mark and line ends.

    Raises InputError (file and line) as `opened` does, and for bytes that are no UTF-8.
    """
    number = 0
    with opened(path, wanted=wanted) as stream:
        try:
            for data in stream:
                number += 1
                if b"\x00" in data:
                    raise InputError(
                        f"is binary or UTF-16 (it has a NUL byte); {wanted} in UTF-8 is needed", path=path, line=number
                    )
                if number == 1:
                    data = data.removeprefix(b"\xef\xbb\xbf")
                yield number, data.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise InputError(
                f"is not UTF-8 text: byte 0x{error.object[error.start]:02x} at byte {error.start + 1} of the line; "
                "save the file as UTF-8",
                path=path,
                line=number,
            ) from error
        except DAMAGE as error:
            raise InputError(
                f"the {packing_of(path)} file is cut short or damaged after line {number} ({error}); "
                "fetch or pack it again",
                path=path,
                line=number + 1,
            ) from error


def _start(path: Path) -> bytes:
    try:
        with path.open("rb") as raw:
            return raw.read(8)
    except FileNotFoundError as error:
        raise InputError("does not exist", path=path) from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", path=path) from error
