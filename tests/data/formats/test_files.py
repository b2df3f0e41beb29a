import gzip
import lzma

import pytest

from kogner.data.formats import files
from kogner.data.formats.files import lines, read_bytes, stem
from kogner.errors import InputError


def write(tmp_path, data, name="some.txt"):
    path = tmp_path / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("pack", [lambda data: data, gzip.compress, lzma.compress])
def test_byte_order_mark_and_line_ends_are_not_part_of_the_lines(tmp_path, pack):
    path = write(tmp_path, pack("\ufeffone\r\ntwo\u2028 2\x85\n\nthree".encode()))
    assert list(lines(path)) == [(1, "one"), (2, "two\u2028 2\x85"), (3, ""), (4, "three")]
    assert read_bytes(path).startswith(b"\xef\xbb\xbfone\r\n")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"\x7fELF\x00\x01\x02", r"binary .*offset 4"),
        ("text".encode("utf-16"), "UTF-16"),
        (b"one\ntw\xe9o\n", r":2: not UTF-8: byte 0xe9 at byte offset 6"),
        (b"\xef\xbb\xbfa\xff", r":1: not UTF-8: byte 0xff at byte offset 4"),
        (gzip.compress(b"one\n" * 9999, mtime=0)[:-20], "damaged"),
        (lzma.compress(b"one\n" * 9999)[:-20], "damaged"),
    ],
)
def test_what_is_not_text_is_named(tmp_path, data, message):
    path = write(tmp_path, data)
    with pytest.raises(InputError, match=message) as caught:
        list(lines(path))
    assert str(path) in str(caught.value)


def test_missing_file_and_folder_are_named(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        list(lines(tmp_path / "no.txt"))
    with pytest.raises(InputError, match="folder"):
        read_bytes(tmp_path)


def test_stem_drops_all_endings(tmp_path):
    assert stem(tmp_path / "train.tsv.xz") == "train"


def test_zstd_streams_and_its_damage_is_an_error_of_ours(tmp_path):
    import pyarrow

    text = b"".join(b"line %d\n" % number for number in range(200_000))
    whole = pyarrow.Codec("zstd").compress(text, asbytes=True)
    (tmp_path / "a.zst").write_bytes(whole + pyarrow.Codec("zstd").compress(b"the last", asbytes=True))
    found = list(files.lines(tmp_path / "a.zst"))
    assert len(found) == 200_001 and found[-1] == (200_001, "the last")
    for number, damaged in enumerate((whole[:-100], whole[: len(whole) // 2], whole + b"no frame")):
        (tmp_path / f"{number}.zst").write_bytes(damaged)
        with pytest.raises(InputError):
            list(files.lines(tmp_path / f"{number}.zst"))


def test_packed_files_have_limits(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "LONGEST_LINE", 1000)
    monkeypatch.setattr(files, "MOST_BYTES", 5000)
    with files.packed(tmp_path / "a.gz") as place:
        place.write_bytes(b"short\n" + b"x" * 6000)
    with pytest.raises(InputError, match=r"a.gz:2: a line of more than 1,000 bytes"):
        list(files.lines(tmp_path / "a.gz"))
    with pytest.raises(InputError, match="more than 5,000 bytes"):
        files.read_bytes(tmp_path / "a.gz")


@pytest.mark.parametrize("ending", ["gz", "xz", "zst"])
def test_what_is_written_packed_is_whole_or_not_there(ending, tmp_path):
    def write(text, fail=False):
        with files.packed(tmp_path / f"a.{ending}") as place:
            place.write_text(text)
            if fail:
                raise OSError("full")

    write("one")
    first = (tmp_path / f"a.{ending}").read_bytes()
    with pytest.raises(OSError, match="full"):
        write("two", fail=True)
    assert (tmp_path / f"a.{ending}").read_bytes() == first and len(list(tmp_path.iterdir())) == 1
    assert list(files.lines(tmp_path / f"a.{ending}")) == [(1, "one")]
    write("one")
    assert (tmp_path / f"a.{ending}").read_bytes() == first
