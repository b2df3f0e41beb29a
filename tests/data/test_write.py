"""`kogner data write` against a real server: all rows end as written or rejected with a reason, whatever it answers."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest
from scripted import Answer, ScriptedServer

from kogner.cli import main
from kogner.data.check import LEAKED, Checker
from kogner.data.pairs import End, Pair
from kogner.data.prompts import grouped, load
from kogner.data.rows import Row, read
from kogner.data.sanity import Rejected
from kogner.data.write import WriteSettings, tasks
from kogner.data.write import row as written_row
from kogner.errors import ConfigError
from kogner.llm.request import ModelId, Reply

PAIRS = [
    Pair(f"linked:{n}", "linked", End(f"G:{n}", "Gene", f"gene{n}x"), End(f"D:{n}", "Disease", f"ache{n}x"))
    for n in range(12)
]


@pytest.fixture(autouse=True)
def ready(monkeypatch):
    pytest.importorskip("openai", reason="the extra 'llm' is not installed")
    for name in ("KOGNER_LLM_KEY", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def pairs(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(f"{json.dumps(pair.to_dict())}\n" for pair in PAIRS))
    return path


def number_of(seen):
    return int(seen.user.split("1. gene")[1].split("x")[0])


def good(number):
    text = f"Case {number**4}: the level of gene{number}x rose {number * 37} fold in ache{number}x of {number} mice."
    ner = [{"mention": f"gene{number}x", "type": "gene"}, {"mention": f"ache{number}x", "type": "disease"}]
    return json.dumps({"sentence": text, "ner": ner})


def run(*arguments):
    with pytest.raises(SystemExit) as stopped:
        main(["data", *map(str, arguments), "--quiet"])
    return stopped.value.code


def test_whatever_the_server_answers_each_row_is_written_or_rejected(pairs, tmp_path, capsys):
    def script(seen):
        number = number_of(seen)
        return {
            1: Answer("no JSON at all"),
            2: Answer(good(2)[:-2]),
            3: Answer(json.dumps({"sentence": "x"})),
            4: Answer(good(4).replace("disease", "food")),
            5: Answer(good(4)),
            6: Answer(status=429, headers={"retry-after": "0"}) if seen.number < 2 else Answer(good(6)),
            7: Answer(status=500) if seen.number < 1 else Answer(good(7)),
            8: Answer(good(8)[:40], finish="length"),
            9: Answer(good(9), drop="middle") if seen.number < 1 else Answer(good(9)),
            10: Answer(good(10), delay_s=3 if seen.number < 1 else 0),
            11: Answer(f"Here it is:\n```json\n{good(11)}\n```"),
            0: Answer(f"[{good(0)}]"),
        }.get(number, Answer(good(number)))

    rows, out = tmp_path / "rows.jsonl", tmp_path / "bmg"
    with ScriptedServer(script) as server:
        assert run("write", pairs, "--llm", server.spec, "--out", rows, "--timeout", "1") == 0
        said = json.loads(capsys.readouterr().out.splitlines()[-1])
        asked = len(server.seen)
        assert run("write", pairs, "--llm", server.spec, "--out", rows, "--timeout", "1") == 0
        assert len(server.seen) == asked  # everything was paid for
    assert said["written"] == 12 and said["rejected"] == {
        "no JSON in the answer": 1, "answer cut off at its token limit": 1
    }  # fmt: skip
    kept = [row for _, row in read(rows)]
    assert [row.id.split("~")[0] for row in kept] == [f"abstract:linked:{n}" for n in range(12)]
    assert [n for n, row in enumerate(kept) if row.repaired] == [2]
    assert {row.prompt for row in kept} == {"abstract@1"} and len({row.request for row in kept}) == 12
    capsys.readouterr()
    assert run("check", rows, "--out", out) == 0
    checked = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert checked["kept"] + sum(checked["rejected"].values()) == checked["written"] == 12
    sources = [json.loads(line) for line in (out / "provenance.jsonl").read_text().splitlines()]
    assert {json.dumps(one["asked"]) for one in sources} == {
        json.dumps({"template": load("abstract").hash, "temperature": 0.7, "seed": 0})
    }
    assert checked["rejected"] == {
        "no JSON in the answer": 1, "answer cut off at its token limit": 1, "missing keys": 1,
        "type differs from the graph's": 1, "entity not in the sentence": 1,
    }  # fmt: skip


def test_a_server_that_always_fails(pairs, tmp_path, capsys):
    with ScriptedServer(lambda seen: Answer(status=404)) as server:
        assert run("write", pairs, "--llm", server.spec, "--out", tmp_path / "rows.jsonl") == 2
    assert "404" in capsys.readouterr().err and not (tmp_path / "rows.jsonl").exists()


@pytest.mark.parametrize(("most", "stops"), [("3", True), ("0", False)])
def test_how_many_refusals_in_a_row_stop_a_run(pairs, tmp_path, capsys, most, stops):
    with ScriptedServer(lambda seen: Answer("refused", status=422)) as server:
        command = ("write", pairs, "--llm", server.spec, "--out", tmp_path / "rows.jsonl", "--concurrency", "1")
        code = run(*command, "--max-failures", most)
        asked = len(server.asked())
    said = capsys.readouterr()
    assert (asked < 12) is stops, said.err
    if stops:
        assert code == 2 and "3 requests" in said.err and "--max-failures" in said.err


def test_a_model_that_answers_nothing_is_an_error_with_its_words(pairs, tmp_path, capsys):
    def refused(seen):
        return Answer("only the default temperature (1) is supported", status=400)

    with ScriptedServer(refused) as server:
        command = ("write", pairs, "--llm", server.spec, "--out", tmp_path / "rows.jsonl")
        assert run(*command) == 2
        said = capsys.readouterr()
        assert "answered no request: 12 x request refused" in said.err and "only the default temperature" in said.err
        assert "--temperature -1" in said.err and not said.out and not (tmp_path / "rows.jsonl").exists()


def test_two_runs_do_not_pay_for_one_cache(pairs, tmp_path, capsys):
    from kogner.llm.cache import Cache

    rows = tmp_path / "rows.jsonl"
    with ScriptedServer() as server, Cache.to_pay(tmp_path / "rows.jsonl.cache"):
        assert run("write", pairs, "--llm", server.spec, "--out", rows) == 2
        assert "rows.jsonl.cache is in use by process" in capsys.readouterr().err and not server.seen
        assert run("write", pairs, "--llm", server.spec, "--out", rows, "--cache", tmp_path / "other.cache") == 0


def test_dry_run_asks_nothing(pairs, tmp_path, capsys):
    with ScriptedServer() as server:
        assert run("write", pairs, "--llm", server.spec, "--out", tmp_path / "rows.jsonl", "--dry-run") == 0
        assert not server.seen
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert said["requests"] == 12 and said["estimated_input_tokens"] > 12 * 200
    assert said["output_tokens_at_most"] == 12 * 400 and not (tmp_path / "rows.jsonl.cache").exists()


def test_max_cost_stops_and_a_higher_one_goes_on(pairs, tmp_path, capsys):
    with ScriptedServer(lambda seen: Answer(good(number_of(seen)), usage=(1000, 100))) as server:
        prices = tmp_path / "prices.yaml"
        prices.write_text(f"date: today\nmodels:\n  {server.spec}: [1.0, 2.0]\n")
        command = ("write", pairs, "--llm", server.spec, "--out", tmp_path / "rows.jsonl", "--prices", prices)
        assert run(*command, "--max-cost", "0.006", "--concurrency", "2") == 2
        said = capsys.readouterr().err
        assert "run again with a higher one" in said and 0 < len(server.seen) < 12
        bought = list(read(tmp_path / "rows.jsonl"))
        assert len(bought) == len(server.seen) and f"{len(bought)} of 12 rows are in" in said
        assert all(row.rejected is None for _, row in bought)
        assert run(*command, "--max-cost", "1") == 0
        assert set(server.asked().values()) == {1}
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert said["cost"] + said["cost_of_earlier_runs"] == pytest.approx(12 * 0.0012)


def test_pairs_are_dealt_to_the_prompts_in_turn():
    prompts = [load("abstract"), load("several"), load("negative")]
    model = ModelId("http", "m", "http://x/v1")
    once = list(tasks(PAIRS, prompts, ["Gene"], model, WriteSettings()))
    assert sorted(pair.id for task in once for pair in task.pairs) == sorted(pair.id for pair in PAIRS)
    assert [len(task.pairs) for task in once] == [1] * 4 + [2, 2] + [1] * 4
    twice = list(tasks(PAIRS, prompts, ["Gene"], model, WriteSettings(per_pair=2)))
    assert len({task.id for task in twice}) == len({task.request.hash for task in twice}) == len(twice)
    for bad in ({"per_pair": 0}, {"temperature": 3.0}, {"max_tokens": 0}):
        with pytest.raises(ConfigError):
            WriteSettings(**bad)


@pytest.mark.parametrize("total", [False, True])
def test_more_pairs_ask_nothing_again(total):
    """As of a draw with a larger --number: the pairs of each relation type are the first of the larger one."""
    prompts = [load(name) for name in ("abstract", "several", "negative")]

    def drawn(count):
        made = [
            Pair(f"{relation}:{n}", relation, End(f"G:{n}", "Gene", f"gene{n}"), End(f"D:{n}", "Disease", f"ache{n}"))
            for relation in ("linked", "causes", "treats")
            for n in range(1, count + 1)
        ]
        return sorted(made, key=lambda pair: int(pair.id.split(":")[1])) if total else made

    model = ModelId("http", "m", "http://x/v1")
    few, many = (
        {task.request.hash: task for task in tasks(drawn(n), prompts, ["Gene", "Disease"], model, WriteSettings())}
        for n in (12, 30)
    )
    lost = [task for name, task in few.items() if name not in many]
    assert all(task.prompt.pairs > len(task.pairs) for task in lost) and len(lost) <= 3  # groups that were not full
    assert {prompt.name for prompt in prompts} == {task.prompt.name for task in few.values()}
    alone = list(tasks(drawn(1), prompts, ["Gene"], model, WriteSettings()))
    assert len({task.prompt.name for task in alone}) > 1  # one pair of each type is not all of one prompt


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        (f"[{good(3)}]", True),
        (f'The form is {{"mention": "x"}}, so: {good(3)}', True),
        (f"{good(2)} or {good(3)}", False),  # nobody knows which
        ('[{"sentence": "x"}]', False),
    ],
)
def test_of_several_objects_the_only_one_of_the_form_is_the_answer(answer, kept):
    task = next(tasks(PAIRS[3:4], [load("abstract")], ["Gene", "Disease"], ModelId("http", "m"), WriteSettings()))
    found = written_row(task, Reply(answer, "stop", 1, 1))
    assert found.rejected is None and isinstance(found.answer, dict if kept else list)


@pytest.mark.parametrize("name", ["abstract", "negative"])
def test_a_templates_own_example_is_no_answer(name):
    prompt = load(name)
    task = next(tasks(PAIRS, [prompt], ["Gene", "Disease"], ModelId("http", "m"), WriteSettings(seed=3)))
    example = json.loads(prompt.system[prompt.system.index('{"sentence') :])
    copied, own = (
        written_row(task, Reply(json.dumps(example | {"sentence": sentence}), "stop", 1, 1))
        for sentence in (f" {example['sentence'].upper()}", f"{example['sentence']} So it was.")
    )
    assert copied.copied and not own.copied and Row.from_dict(json.loads(copied.to_line())) == copied
    assert own.asked == {"template": prompt.hash, "temperature": 0.7, "seed": 3}
    if prompt.negative:
        assert Checker().check(copied).reason == LEAKED and not isinstance(Checker().check(own), Rejected)


def test_two_entities_of_one_name_are_in_no_group():
    first, other, third = PAIRS[:3]
    twin = Pair("linked:9", "linked", End("X:1", "Gene", "Gene0x"), other.tail)
    same = Pair("linked:9", "linked", End("X:1", "Gene", "gene-0x"), other.tail)
    assert [len(group) for group in grouped([first, twin, third], 2)] == [2, 1]
    assert list(grouped([first, same, other, third], 2)) == [(first, other), (same, third)]


def test_rejected_rows_are_asked_again_and_nothing_else(pairs, tmp_path, capsys):
    rows, out = tmp_path / "rows.jsonl", tmp_path / "bmg"

    def script(seen):
        number, first = number_of(seen), seen.body["seed"] == 0
        if number in (1, 2) and first:
            return Answer("no JSON at all")
        if number == 3 and seen.body["max_tokens"] == 400:
            return Answer(good(3)[:40], finish="length")
        return Answer(good(5) if number == 4 and first else good(number))

    with ScriptedServer(script) as server:
        command = ("write", pairs, "--llm", server.spec, "--out", rows)
        assert run(*command) == 0
        before = rows.read_text().splitlines()
        assert run("check", rows, "--out", out, "--unseen", "none") == 0
        assert len((out / "rejected.jsonl").read_text().splitlines()) == 4
        again = (*command, "--again", out / "rejected.jsonl", "--max-tokens", "800")
        capsys.readouterr()
        assert run(*again, "--dry-run") == 0
        assert json.loads(capsys.readouterr().out.splitlines()[-1])["requests"] == 4
        assert run(*again) == 0
        said = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert said["written"] == 12 and said["asked"] == said["answered"] == 4 and not said["rejected"]
        after = rows.read_text().splitlines()
        assert [n for n in range(12) if before[n] != after[n]] == [1, 2, 3, 4]
        assert [json.loads(line)["id"] for line in before] == [json.loads(line)["id"] for line in after]
        asked = len(server.seen)
        assert run(*again) == 0 and rows.read_text().splitlines() == after  # stopped and started again
        more = Pair("linked:12", "linked", End("G:12", "Gene", "gene12x"), End("D:12", "Disease", "ache12x"))
        pairs.write_text(f"{pairs.read_text()}{json.dumps(more.to_dict())}\n")
        assert run(*command) == 0 and rows.read_text().splitlines()[:12] == after  # and with another pair
        assert len(server.seen) == asked + 1
        assert run(*again, "--prompt", "mixed") == 2 and "abstract@1" in capsys.readouterr().err
        assert run("check", rows, "--out", out, "--unseen", "none") == 0
        assert json.loads(capsys.readouterr().out.splitlines()[-1])["kept"] == 13
        assert run(*command, "--again", pairs) == 2 and "is no row" in capsys.readouterr().err
        assert run(*command, "--again", rows) == 2 and "no rejected row" in capsys.readouterr().err


def test_what_is_rejected_again_is_asked_something_else(pairs, tmp_path):
    rows = tmp_path / "rows.jsonl"
    with ScriptedServer(lambda seen: Answer("none")) as server:
        command = ("write", pairs, "--llm", server.spec, "--out", rows)
        assert run(*command) == run(*command, "--again", rows) == run(*command, "--again", rows) == 0
        assert len({seen.body["seed"] for seen in server.seen}) == 3 and len(server.seen) == 36


@pytest.mark.slow
def test_killed_ten_times_the_rows_are_the_same(pairs, tmp_path):
    dice = random.Random(3)
    delays = random.Random(4)
    many = [Pair(f"linked:{n}", "linked", End(f"G:{n}", "Gene", f"gene{n}x"), End(f"D:{n}", "Disease", f"ache{n}x"))
            for n in range(600)]  # fmt: skip
    pairs.write_text("".join(f"{json.dumps(pair.to_dict())}\n" for pair in many))
    with ScriptedServer(lambda seen: Answer(good(number_of(seen)), delay_s=delays.uniform(0, 0.05))) as server:

        def command(out):
            return [sys.executable, "-m", "kogner.cli", "data", "write", pairs, "--llm", server.spec, "--out", out,
                    "--concurrency", "4", "--quiet"]  # fmt: skip

        whole, cut = tmp_path / "whole.jsonl", tmp_path / "cut.jsonl"
        subprocess.run(command(whole), check=True, capture_output=True)
        before = len(server.seen)
        for _ in range(10):
            with subprocess.Popen(command(cut), stdout=subprocess.DEVNULL) as writer:
                seen = len(server.seen)
                while writer.poll() is None and len(server.seen) < seen + dice.randrange(1, 45):
                    time.sleep(0.002)
                os.kill(writer.pid, signal.SIGKILL)
            assert not cut.exists()
        subprocess.run(command(cut), check=True, capture_output=True)
        assert cut.read_bytes() == whole.read_bytes()
        assert len(server.seen) - before <= 600 + 10 * 4


def test_anthropic_writes_rows_that_check_takes(pairs, tmp_path, capsys, monkeypatch):
    pytest.importorskip("anthropic", reason="the extra 'llm' is not installed")
    key, rows, out = "sk-ant-a-very-secret-key", tmp_path / "rows.jsonl", tmp_path / "bmg"

    def script(seen):
        number = number_of(seen)
        if number == 3 and seen.number < 1:
            return Answer(status=529)
        return Answer(good(5)[:40], finish="length") if number == 5 else Answer(good(number))

    with ScriptedServer(script) as server:
        monkeypatch.setenv("ANTHROPIC_API_KEY", key)
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.root)
        write = ("write", pairs, "--llm", "anthropic:claude-x", "--out", rows)
        assert run(*write) == 0
        printed = capsys.readouterr()
        said = json.loads(printed.out.splitlines()[-1])
        asked = len(server.seen)
        assert run(*write) == 0
        assert len(server.seen) == asked
    assert {seen.path for seen in server.seen} == {"/v1/messages"} and asked >= 13
    assert said["written"] == 12 and sum(said["rejected"].values()) == 1
    assert {row.model for _, row in read(rows)} == {"anthropic:claude-x"}
    held = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert key.encode() not in held and key not in f"{printed}{capsys.readouterr()}"
    assert run("check", rows, "--out", out) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["kept"] == 11
