import sqlite3

import pytest

from kogner.errors import ArtifactError
from kogner.llm.cache import Cache
from kogner.llm.request import ModelId, Reply, Request


def request(user="u"):
    return Request(ModelId("http", "m", "http://localhost/v1"), "s", user)


def test_an_answer_comes_back(tmp_path):
    with Cache(tmp_path / "deep" / "answers.db") as cache:
        assert cache.get(request()) is None and request() not in cache
        cache.put(request(), Reply("täxt \ud800", "length", 3, 4))
        cache.put(request(), Reply("second", "stop", 3, 4))
        assert cache.get(request()) == Reply("täxt ?", "length", 3, 4, cached=True)
        assert cache.find(request())[1] is False
        assert request("other") not in cache and len(cache) == 1
    with Cache(tmp_path / "deep" / "answers.db") as cache:
        assert cache.find(request()) == (Reply("täxt ?", "length", 3, 4, cached=True), True)


def test_a_row_is_on_disk_when_put_returns(tmp_path):
    cache, other = Cache(tmp_path / "a.db"), Cache(tmp_path / "a.db")
    cache.put(request(), Reply("text", "stop", 1, 1))
    assert other.get(request()) is not None
    cache.close()
    other.close()


def test_one_run_pays_at_a_time(tmp_path):
    path = tmp_path / "deep" / "rows.jsonl.cache"
    with Cache.to_pay(path) as cache:
        cache.put(request(), Reply("text", "stop", 1, 1))
        in_use = r"rows\.jsonl\.cache is in use by process \d+ .*give another"
        with pytest.raises(ArtifactError, match=in_use), Cache.to_pay(path):
            pass
        with Cache(path) as reader:  # a dry run
            assert request() in reader
    with Cache.to_pay(path) as cache:
        assert request() in cache
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="cannot be opened"), Cache.to_pay(tmp_path / "file" / "a.db"):
        pass


def test_other_files_are_refused(tmp_path):
    (tmp_path / "text").write_text("no database" * 100)
    with pytest.raises(ArtifactError, match="text"):
        Cache(tmp_path / "text")
    with pytest.raises(ArtifactError, match="cannot be opened"):
        Cache(tmp_path)
    foreign = sqlite3.connect(tmp_path / "foreign.db")
    foreign.execute("CREATE TABLE answers (a)")
    foreign.close()
    with pytest.raises(ArtifactError, match="not a cache"):
        Cache(tmp_path / "foreign.db")
    later = sqlite3.connect(tmp_path / "later.db")
    later.execute("PRAGMA user_version=2")
    later.close()
    with pytest.raises(ArtifactError, match="version 1"):
        Cache(tmp_path / "later.db")


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "a.db"
    with Cache(path) as cache:
        for number in range(300):
            cache.put(request(str(number)), Reply("text" * 50, "stop", 1, 1))
    raw = bytearray(path.read_bytes())
    raw[4096:] = b"\xff" * (len(raw) - 4096)
    path.write_bytes(raw)
    with pytest.raises(ArtifactError, match=r"a\.db"), Cache(path) as cache:
        for number in range(300):
            cache.get(request(str(number)))
