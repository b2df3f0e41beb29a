import traceback

import pytest
from scripted import Answer, ScriptedServer

from kogner.errors import ConfigError, KognerError, ModelError
from kogner.llm.answers import NotJsonError, parse_reply
from kogner.llm.cache import Cache
from kogner.llm.model import Secret, retry_after
from kogner.llm.providers import Spec, model_id, open_model, parse_spec
from kogner.llm.request import Failure, ModelId, Reply

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("openai:gpt-4o-mini", Spec("openai", "gpt-4o-mini", "https://api.openai.com/v1")),
        ("openai:ft:gpt-4o:me", Spec("openai", "ft:gpt-4o:me", "https://api.openai.com/v1")),
        ("anthropic:claude-x", Spec("anthropic", "claude-x", "https://api.anthropic.com")),
        ("http://localhost:11434/v1:llama3:8b", Spec("http", "llama3:8b", "http://localhost:11434/v1")),
        ("https://h/v1/:org/model", Spec("http", "org/model", "https://h/v1")),
        ("http://[::1]:80/v1:m", Spec("http", "m", "http://[::1]:80/v1")),
        ("local", Spec("local", "")),
        ("local:/a/b.gguf", Spec("local", "/a/b.gguf")),
    ],
)
def test_specs(text, spec):
    assert parse_spec(text) == spec


@pytest.mark.parametrize(
    "text",
    [
        "", "gpt-4o", "openai", "openai:", "http://host:8000", "http://host:8000/v1", "http:host/v1:m", "ftp://h/v1:m",
        "http:///v1:m", "http://h:99999/v1:m", "http://h:x/v1:m", "http://[::1/v1:m",
    ],
)  # fmt: skip
def test_other_specs_are_refused(text):
    with pytest.raises(ConfigError, match="--llm"):
        parse_spec(text)


@pytest.mark.parametrize("text", ["http://me:hunter2@h/v1:m", "http://h/v1?key=hunter2:m", "https://me:hunter2@h"])
def test_addresses_with_secrets_are_refused_and_not_shown(text):
    with pytest.raises(ConfigError) as error:
        parse_spec(text)
    assert "hunter2" not in str(error.value)


def test_base_urls_from_the_environment(monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "https://proxy/v1/")
    assert model_id("openai:m") == ModelId("openai", "m", "https://proxy/v1")
    assert str(model_id("openai:m")) == "openai:m" and str(model_id("https://h/v1:m")) == "https://h/v1:m"


@pytest.mark.parametrize("spec", ["openai:m", "anthropic:m"])
def test_a_missing_key_is_named(spec):
    with pytest.raises(ModelError, match=f"{spec.partition(':')[0].upper()}_API_KEY"):
        open_model(spec)


def test_a_key_does_not_travel_in_the_open(key, monkeypatch):
    pytest.importorskip("openai", reason="the extra 'llm' is not installed")
    with pytest.raises(ModelError, match="unencrypted") as error:
        open_model("http://example.org/v1:m")
    assert key not in str(error.value)
    for spec in ("http://127.9.9.9/v1:m", "http://[::1]/v1:m", "http://localhost/v1:m", "https://example.org/v1:m"):
        assert key not in repr(open_model(spec))
    open_model("http://example.org/v1:m", allow_plain_http=True)
    monkeypatch.setenv("OPENAI_API_KEY", key)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://example.org/v1")
    with pytest.raises(ModelError, match="unencrypted"):
        open_model("openai:m")
    monkeypatch.delenv("KOGNER_LLM_KEY")
    open_model("http://example.org/v1:m")


@pytest.mark.parametrize("bad", ["with blank inside", "täglich", "two\nlines"])
def test_keys_that_no_header_can_hold(monkeypatch, bad):
    monkeypatch.setenv("KOGNER_LLM_KEY", bad)
    with pytest.raises(ModelError) as error:
        open_model("https://h/v1:m")
    assert bad not in str(error.value)


def test_openai_compatible_bodies(run_all, key):
    with ScriptedServer(lambda seen: Answer('{"a": 1}')) as server:
        found, _ = run_all(server.spec, ["question"], fields={"schema": SCHEMA, "max_tokens": 7, "seed": 3})
        (seen,) = server.seen
    assert found == {"question": Reply('{"a": 1}', "stop", 10, 5)}
    assert seen.path == "/v1/chat/completions" and seen.headers["authorization"] == f"Bearer {key}"
    assert seen.body == {
        "model": "scripted", "max_tokens": 7, "temperature": 0.0, "seed": 3,
        "messages": [{"role": "system", "content": "system"}, {"role": "user", "content": "question"}],
        "response_format": {
            "type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True}
        },
    }  # fmt: skip


def test_openais_own_bodies(run_all, monkeypatch):
    with ScriptedServer() as server:
        monkeypatch.setenv("OPENAI_API_KEY", "key-of-openai")
        monkeypatch.setenv("KOGNER_LLM_KEY", "key-of-another")
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.root}/v1")
        run_all("openai:gpt", ["question"], fields={"temperature": None})
        (seen,) = server.seen
    assert seen.headers["authorization"] == "Bearer key-of-openai"
    assert set(seen.body) == {"model", "max_completion_tokens", "messages"}


def test_openais_organisation_goes_to_openai_alone(run_all, monkeypatch):
    with ScriptedServer() as server:
        monkeypatch.setenv("OPENAI_API_KEY", "key-of-openai")
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.root}/v1")
        monkeypatch.setenv("OPENAI_ORG_ID", "org-mine")
        monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-mine")
        run_all("openai:gpt", ["question"])
        run_all(server.spec, ["question"])
        own, other = server.seen
    assert own.headers["openai-organization"] == "org-mine" and own.headers["openai-project"] == "proj-mine"
    assert "mine" not in str(other.headers)


def test_anthropic(run_all, monkeypatch):
    pytest.importorskip("anthropic", reason="the extra 'llm' is not installed")
    finishes = {"stop": "stop", "length": "length", "content_filter": "refused"}
    with ScriptedServer(lambda seen: Answer('{"a": 1}', finish=seen.user)) as server:
        monkeypatch.setenv("ANTHROPIC_API_KEY", "key-of-anthropic")
        monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "something-else")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.root)
        found, _ = run_all("anthropic:claude", list(finishes), fields={"schema": SCHEMA, "max_tokens": 7})
        seen = server.seen[0]
    assert {user: reply.finish for user, reply in found.items()} == finishes
    assert found["stop"] == Reply('{"a": 1}', "stop", 10, 5)
    assert seen.path == "/v1/messages" and "something-else" not in str(seen.headers)
    # the SDK sends the key as `x-api-key` or, since its release 2, as a bearer
    assert (seen.headers.get("x-api-key") or seen.headers["authorization"]).endswith("key-of-anthropic")
    assert seen.body == {
        "model": "claude", "max_tokens": 7, "temperature": 0.0, "system": "system",
        "messages": [{"role": "user", "content": seen.user}],
        "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}},
    }  # fmt: skip


def test_anthropics_errors_and_schema_refusal(run_all, monkeypatch):
    pytest.importorskip("anthropic", reason="the extra 'llm' is not installed")

    def script(seen):
        if "output_config" in seen.body:
            return Answer("output_config: not for this model", status=400)
        return Answer("busy", status=529) if seen.number == 1 else Answer('{"a": 1}')

    with ScriptedServer(script) as server:
        monkeypatch.setenv("ANTHROPIC_API_KEY", "key-of-anthropic")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.root)
        found, counts = run_all("anthropic:claude", ["q"], fields={"schema": SCHEMA})
        assert "JSON schema" in server.seen[-1].body["system"]
    assert found["q"].text == '{"a": 1}' and counts["retried"] == 1 and counts["calls"] == 4


@pytest.mark.parametrize(
    ("body", "reply"),
    [
        (b'{"choices": [{"message": {"content": null, "refusal": "no"}}]}', Reply("no", "refused", 4, 1)),
        (b'{"choices": [{"message": {"content": null}, "finish_reason": "length"}]}', Reply("", "length", 4, 0)),
        (b'{"choices": [{"message": {"content": "text"}}], "usage": null}', Reply("text", "stop", 4, 1)),
        (b'{"choices": [{"message": {"content": "t"}, "finish_reason": "odd"}]}', Reply("t", "odd", 4, 1)),
    ],
)
def test_answers_of_other_servers(run_all, body, reply):
    """Tokens are guessed as characters / 4 where the server counts none; "systemquestion" has 14."""
    with ScriptedServer(lambda seen: Answer(body=body)) as server:
        assert run_all(server.spec, ["question"])[0] == {"question": reply}


EMPTY = {
    "openai": b'{"choices": [{"message": {"content": null}, "finish_reason": "stop"}], '
    b'"usage": {"prompt_tokens": 9, "completion_tokens": 2}}',
    "anthropic": b'{"content": [], "stop_reason": "end_turn", "usage": {"input_tokens": 9, "output_tokens": 2}}',
}


@pytest.mark.parametrize("provider", list(EMPTY))
def test_an_empty_answer_that_was_counted_is_bought_once(run_all, monkeypatch, tmp_path, provider):
    pytest.importorskip(provider, reason="the extra 'llm' is not installed")
    with ScriptedServer(lambda seen: Answer(body=EMPTY[provider])) as server:
        monkeypatch.setenv(f"{provider.upper()}_API_KEY", "key-of-a-provider")
        root = server.root if provider == "anthropic" else f"{server.root}/v1"
        monkeypatch.setenv(f"{provider.upper()}_BASE_URL", root)
        for cached in (False, True):
            with Cache(tmp_path / "a.db") as cache:
                found, _ = run_all(f"{provider}:m", ["q"], cache=cache)
            assert found == {"q": Reply("", "stop", 9, 2, cached=cached)}
        assert len(server.seen) == 1
    with pytest.raises(NotJsonError) as error:
        parse_reply(found["q"])
    assert error.value.reason == "empty answer"


@pytest.mark.parametrize(
    "body", [b"<html>", b"", b"[]", b"null", b"{}", b'{"choices": []}', b'{"choices": [{"message": {"content": 7}}]}',
             b'{"choices": [{"message": {"content": null}}]}']
)  # fmt: skip
def test_answers_that_are_none(run_all, body):
    with ScriptedServer(lambda seen: Answer(body=body)) as server:
        found, counts = run_all(server.spec, ["q"])
        assert isinstance(found["q"], Failure) and found["q"].reason == "answer without text"
        assert len(server.seen) == counts["calls"] == 6


def test_a_redirect_does_not_carry_the_key_away(run_all, key):
    with ScriptedServer() as thief:
        elsewhere = Answer(status=307, headers={"location": f"{thief.root}/v1/chat/completions"})
        with ScriptedServer(lambda seen: elsewhere) as server, pytest.raises(ModelError, match="leads elsewhere"):
            run_all(server.spec, ["q"])
        assert not thief.seen


def test_retry_after():
    assert retry_after({"retry-after": "1.5"}, now=0) == 1.5
    assert retry_after({"retry-after": "9", "retry-after-ms": "250"}, now=0) == 0.25
    assert retry_after({"retry-after": "Thu, 01 Jan 1970 00:01:00 GMT"}, now=20) == 40
    assert retry_after({"retry-after": "Thu, 01 Jan 1970 00:01:00 GMT"}, now=90) == 0
    for nothing in ({}, {"retry-after": ""}, {"retry-after": "soon"}, {"retry-after": "nan"}):
        assert retry_after(nothing, now=0) is None


@pytest.mark.parametrize("status", [200, 400, 401, 429, 500])
def test_a_server_that_sends_the_key_back(run_all, key, tmp_path, capfd, caplog, status):
    """The key shows up in no output, log, exception, answer or cache file, though the server puts it everywhere."""
    caplog.set_level(0)
    said = f"you sent {key}!"
    with ScriptedServer(lambda seen: Answer(said, finish=key, status=status)) as server:
        text = ""
        with Cache(tmp_path / "a.db") as cache:
            try:
                found, counts = run_all(server.spec, ["q"], cache=cache, stop_after=None)
                text = f"{found} {counts}"
            except KognerError as error:
                text = "".join(traceback.format_exception(error))
            files = b"".join(file.read_bytes() for file in tmp_path.iterdir())
        assert server.seen[0].headers["authorization"].endswith(key)
    captured = capfd.readouterr()
    assert key not in text + caplog.text + captured.out + captured.err
    assert key.encode() not in files
    assert "you sent ***!" in text


def test_a_secret_shows_nothing():
    secret = Secret("sk-1234567890123456")
    assert "sk" not in repr(secret) + str(secret) + f"{secret}"
    assert Secret("none").hide_in_answer("none of them") == "none of them"
    assert Secret("").hide_in("text") == "text"
