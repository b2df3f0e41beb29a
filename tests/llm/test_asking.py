import asyncio
import contextlib
import socket
import time
from email.utils import formatdate

import pytest
from scripted import Answer, ScriptedServer

from kogner.errors import ArtifactError, BudgetError, ConfigError, ModelError
from kogner.llm.asking import Asker
from kogner.llm.cache import Cache
from kogner.llm.limits import Limits
from kogner.llm.prices import Price, Spending
from kogner.llm.request import Failure, ModelId, Reply, Request
from kogner.llm.retries import Retries

SCHEMA = {"type": "object"}
GOOD = Answer('{"a": 1}')


def once(bad):
    """A script: the first answer to each text is `bad`, the next is good."""
    return lambda seen: bad if seen.number == 0 else GOOD


@pytest.mark.parametrize(
    "bad",
    [
        Answer("slow down", status=429),
        Answer("oops", status=500),
        Answer("oops", status=503),
        Answer("conflict", status=409),
        Answer("late", status=408),
        Answer(body=b"{"),
        Answer(drop="before"),
        Answer(drop="middle"),
        Answer(delay_s=4.0),
    ],
    ids=["429", "500", "503", "409", "408", "half", "drop before", "drop middle", "late"],
)
def test_what_is_tried_again(run_all, bad):
    with ScriptedServer(once(bad)) as server:
        found, counts = run_all(server.spec, ["a", "b"], timeout_s=0.8 if bad.delay_s else 20)
    assert {user: reply.text for user, reply in found.items()} == {"a": GOOD.text, "b": GOOD.text}
    assert counts["retried"] == 2 and counts["calls"] == 4 and counts["failed"] == {}


@pytest.mark.parametrize(
    ("bad", "failure", "calls"),
    [
        (Answer("wrong", status=400), Failure("request refused", "wrong", 400), 1),
        (Answer("too big", status=413), Failure("request refused", "too big", 413), 1),
        (Answer("oops", status=500), Failure("server error", "oops", 500), 3),
        (Answer("slow down", status=429), Failure("rate limited", "slow down", 429), 4),
        (Answer(delay_s=4.0), Failure("timed out", "no answer in 0.8 s", None), 3),
    ],
)
def test_what_fails_after_the_last_try(run_all, bad, failure, calls):
    retries = Retries(tries=3, limited_tries=4, first_s=0.001, longest_s=0.002)
    with ScriptedServer(lambda seen: bad if seen.user == "bad" else GOOD) as server:
        found, counts = run_all(server.spec, ["bad", "good"], timeout_s=0.8 if bad.delay_s else 20, retries=retries)
        assert server.asked() == {"bad": calls, "good": 1}
    assert found["bad"] == failure and isinstance(found["good"], Reply)
    assert counts["failed"] == {failure.reason: 1} and counts["retried"] == calls - 1


def test_nobody_listens(run_all):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        found, counts = run_all(
            f"http://127.0.0.1:{port}/v1:m", ["q"], spending=Spending(Price(1, 1), max_cost=1), retries=Retries(tries=1)
        )
    assert found["q"].reason == "connection failed" and "ConnectError" in found["q"].detail
    assert counts["cost_of_lost_answers_at_most"] == 0  # nothing was sent


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_obeyed_by_everybody(run_all, form):
    wait = 0.6

    def script(seen):
        if len(server.seen) > 1:
            return GOOD
        value = str(wait) if form == "seconds" else formatdate(time.time() + wait + 1, usegmt=True)
        return Answer("slow down", status=429, headers={"Retry-After": value})

    with ScriptedServer(script) as server:
        found, _ = run_all(server.spec, ["a", "b", "c"], concurrency=1)
        first, *others = server.seen
    assert len(found) == 3 and all(isinstance(one, Reply) for one in found.values())
    assert min(seen.at for seen in others) - first.at >= wait - 0.2


def test_a_wait_that_is_too_long_stops_the_run(run_all):
    patience = Answer("come back tomorrow", status=429, headers={"Retry-After": "86400"})
    with ScriptedServer(lambda seen: patience) as server, pytest.raises(ModelError, match=r"86,400 s.*tomorrow"):
        run_all(server.spec, map(str, range(100)), concurrency=4)
    assert len(server.seen) <= 4


@pytest.mark.parametrize(
    "bad",
    [
        Answer("wrong key", status=401), Answer("not yours", status=403), Answer("no such model", status=404),
        Answer("pay first", status=402), Answer("pay first", status=429, finish="insufficient_quota"),
    ],
)  # fmt: skip
def test_what_stops_everything(run_all, tmp_path, bad):
    def script(seen):
        return GOOD if seen.user in "0123" else bad

    with ScriptedServer(script) as server, Cache(tmp_path / "a.db") as cache:
        with pytest.raises(ModelError, match=f"{bad.status}.*{bad.text}"):
            run_all(server.spec, map(str, range(1000)), cache=cache, concurrency=4)
        assert len(server.seen) <= 12 and len(cache) == 4
        server.script = lambda seen: GOOD
        found, counts = run_all(server.spec, map(str, range(20)), cache=cache)
        assert len(found) == 20 and counts["cached"] == 4 and server.asked()["0"] == 1


def test_a_server_that_is_down_stops_the_run(run_all):
    with ScriptedServer(lambda seen: Answer("oops", status=500)) as server:
        with pytest.raises(ModelError, match=r"20 requests to .* failed in a row.*oops"):
            run_all(server.spec, map(str, range(1000)), retries=Retries(tries=1), stop_after=20, concurrency=4)
        assert len(server.seen) <= 24


@pytest.mark.parametrize(("takes", "form"), [("json_object", "json_object"), ("nothing", "plain")])
def test_schema_refused(run_all, takes, form):
    def script(seen):
        refused = seen.form == "json_schema" or (takes == "nothing" and seen.form != "plain")
        return Answer(f"response_format {seen.form} is not supported", status=400) if refused else GOOD

    with ScriptedServer(script) as server:
        found, counts = run_all(server.spec, map(str, range(20)), fields={"schema": SCHEMA}, concurrency=1)
        forms = [seen.form for seen in server.seen]
        assert '"type": "object"' in server.seen[-1].body["messages"][0]["content"]
    assert all(reply.text == GOOD.text for reply in found.values()) and counts["retried"] == 0
    assert forms.count("json_schema") == 1 and forms.count(form) == 20  # learnt once, kept for the run


def test_one_bad_request_changes_nothing_for_others(run_all):
    def script(seen):
        return Answer("too long", status=400) if seen.user == "0" else GOOD

    with ScriptedServer(script) as server:
        found, _ = run_all(server.spec, map(str, range(10)), fields={"schema": SCHEMA}, concurrency=1)
        assert [seen.form for seen in server.seen if seen.user != "0"] == ["json_schema"] * 9
    assert found["0"] == Failure("request refused", "too long", 400) and found["1"].text == GOOD.text


def test_equal_requests_under_way_are_paid_once(run):
    async def work(asker, request):
        pairs = [(number, request("same")) for number in range(50)]
        found = [one async for one in asker.ask_all(pairs, concurrency=50)]
        return found, asker.to_dict()

    with ScriptedServer(lambda seen: Answer(delay_s=0.1)) as server:
        found, counts = run(server.spec, work)
        assert len(server.seen) == 1
    assert sorted(key for key, _ in found) == list(range(50))
    assert counts["asked"] == 50 and counts["shared"] == 49 and counts["calls"] == 1


def test_nothing_is_read_far_ahead_and_little_is_under_way(run):
    """Whatever the iterable's length: at most `concurrency` more than were yielded have been taken from it."""
    taken, most = 0, 0

    async def work(asker, request):
        nonlocal most

        def endless():
            nonlocal taken
            while True:
                taken += 1
                yield taken, request(str(taken))

        yielded = 0
        async with contextlib.aclosing(asker.ask_all(endless(), concurrency=8)) as answers:
            async for _ in answers:
                yielded += 1
                most = max(most, taken - yielded)
                if yielded == 150:
                    break
        await asyncio.sleep(0)
        return len(asyncio.all_tasks())

    with ScriptedServer(lambda seen: Answer(delay_s=0.005)) as server:
        left = run(server.spec, work)
        assert server.most_at_once <= 8
    assert most <= 8 and taken <= 158 and left == 1  # the task that counts them


def test_calls_at_once_are_capped(run_all):
    with ScriptedServer(lambda seen: Answer(delay_s=0.01)) as server:
        run_all(server.spec, map(str, range(40)), concurrency=3)
        assert server.most_at_once == 3


def test_cached_answers_cost_nothing(run_all, tmp_path):
    with ScriptedServer(lambda seen: GOOD) as server, Cache(tmp_path / "a.db") as cache:
        run_all(server.spec, map(str, range(30)), cache=cache)
        spending = Spending(Price(1e3, 1e3), max_cost=0.0)
        with pytest.raises(BudgetError):
            run_all(server.spec, ["new"], cache=cache, spending=spending)
        found, counts = run_all(server.spec, map(str, range(30)), cache=cache)
        assert len(server.seen) == 30
    assert all(reply.cached for reply in found.values())
    assert counts["cached"] == 30 and counts["calls"] == counts["input_tokens"] == 0


def test_failures_are_not_cached(run_all, tmp_path):
    with ScriptedServer(once(Answer("wrong", status=400))) as server, Cache(tmp_path / "a.db") as cache:
        assert isinstance(run_all(server.spec, ["q"], cache=cache)[0]["q"], Failure)
        assert isinstance(run_all(server.spec, ["q"], cache=cache)[0]["q"], Reply)


def test_max_cost_stops_before_it_is_passed(run_all, tmp_path):
    """An answer costs 10 + 5 tokens at $1,000 a million: 1.5 cents; at most 6 + 3 bytes + 64 in and 20 out: 9.3."""
    users = [f"{n:03}" for n in range(200)]

    def budget(dollars):
        return Spending(Price(1e3, 1e3), max_cost=dollars)

    with ScriptedServer(lambda seen: GOOD) as server, Cache(tmp_path / "a.db") as cache:
        first = budget(1.0)
        with pytest.raises(BudgetError, match=r"pass max cost \$1\.0000"):
            run_all(server.spec, users, cache=cache, spending=first, fields={"max_tokens": 20})
        assert first.paid == pytest.approx(0.015 * len(cache)) and 0.9 < first.total <= 1.0
        assert len(server.seen) == len(cache) == 61  # 61 * 0.015 + 0.093 > 1


def test_an_answer_that_several_requests_share_was_paid_once(run_all, tmp_path):
    with ScriptedServer(lambda seen: GOOD) as server:
        for _ in range(2):
            with Cache(tmp_path / "a.db") as cache:
                spending = Spending(Price(1e3, 1e3))
                run_all(server.spec, ["q", "r", "q", "q"], cache=cache, spending=spending)
            assert spending.total == pytest.approx(2 * 0.015) and len(server.seen) == 2


def test_going_on_counts_what_was_paid_before(run_all, tmp_path):
    users = [f"{n:03}" for n in range(100)]
    with ScriptedServer(lambda seen: GOOD) as server:
        for dollars, total in ((0.5, 28), (0.5, 28), (1.0, 61), (5.0, 100)):
            with Cache(tmp_path / "a.db") as cache:
                spending = Spending(Price(1e3, 1e3), max_cost=dollars)
                stops = contextlib.nullcontext() if total == 100 else pytest.raises(BudgetError)
                with stops:
                    run_all(server.spec, users, cache=cache, spending=spending, fields={"max_tokens": 20})
                assert len(server.seen) == len(cache) == total
                assert spending.total == pytest.approx(0.015 * total) and spending.total <= dollars


def test_answers_that_never_came_count_towards_max_cost(run_all):
    spending = Spending(Price(1e3, 1e3), max_cost=0.5)
    with ScriptedServer(lambda seen: Answer(drop="middle")) as server:
        with pytest.raises(BudgetError):
            run_all(server.spec, map(str, range(50)), spending=spending, fields={"max_tokens": 20})
        assert len(server.seen) == 5  # 9.1 cents each
    assert spending.paid == 0 and 0.4 < spending.lost <= 0.5


def test_limits_hold_at_the_server(run_all):
    with ScriptedServer() as server:
        start = time.monotonic()
        limits = Limits(requests_per_minute=5)
        limits.clock = lambda: start + (time.monotonic() - start) * 120  # a minute in half a second
        run_all(server.spec, map(str, range(12)), limits=limits)
        times = [seen.at for seen in server.seen]
    assert len(times) == 12 and times[-1] - times[0] > 0.75  # 5 at once, 5 after a "minute", 2 after another


def test_larger_than_the_limit_of_tokens(run_all):
    with ScriptedServer() as server:
        found, counts = run_all(
            server.spec, ["x" * 4000, "y"], limits=Limits(tokens_per_minute=1000), fields={"max_tokens": 100}
        )
        assert len(server.seen) == 1
    assert counts["failed"] == {"larger than the tokens allowed per minute": 1}
    assert isinstance(found["y"], Reply)


def test_a_full_disk_stops_the_run(run_all, tmp_path, monkeypatch):
    cache = Cache(tmp_path / "a.db")
    cache._connection.execute("PRAGMA max_page_count=4")
    with ScriptedServer(lambda seen: Answer("x" * 3000)) as server:
        with pytest.raises(ArtifactError, match="full"):
            run_all(server.spec, map(str, range(500)), cache=cache, concurrency=4)
        assert len(server.seen) < 20
    cache.close()


def test_after_a_stop_every_question_raises(run):
    async def work(asker, request):
        for _ in range(2):
            with pytest.raises(ModelError, match="401"):
                await asker.ask(request("a"))
        with pytest.raises(ValueError, match="cannot be put"):
            await asker.ask(Request(ModelId("http", "other"), "", ""))

    with ScriptedServer(lambda seen: Answer("no", status=401)) as server:
        run(server.spec, work)
        assert len(server.seen) == 1


def test_surrogates_can_be_asked(run_all):
    with ScriptedServer() as server:
        found, _ = run_all(server.spec, ["half \ud800"])
        assert server.seen[0].user == "half ?" and isinstance(found["half \ud800"], Reply)


@pytest.mark.parametrize("wrong", [{"concurrency": 0}, {"timeout_s": 0}, {"timeout_s": float("nan")}])
def test_settings_out_of_range(wrong):
    with pytest.raises(ConfigError):
        Asker(None, **wrong)
