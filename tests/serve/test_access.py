"""Who may ask: keys, the Host header, pages of other origins."""

from __future__ import annotations

import json

import pytest
from running import LABELS, serving

from kogner.errors import ConfigError, InputError
from kogner.serve.access import allowed_hosts, check_origins, is_loopback
from kogner.serve.keys import VARIABLE, ApiKeys, given
from kogner.serve.listener import bind

KEY, SECOND = "correct-horse-battery", "another-key-of-someone"
ORIGIN = "https://example.org"


@pytest.fixture(scope="module")
def guarded(annotator):
    with serving(annotator, keys=(KEY, SECOND), origins=(ORIGIN,)) as client:
        yield client


def test_without_a_key_nothing_but_health_and_documents(guarded):
    for path in ("/v1/labels", "/metrics", "/v1/entities/x", "/nothing"):
        answer = guarded.get(path)
        assert (answer.status, answer.reason) == (401, "no_key"), path
        assert answer.headers["www-authenticate"] == "Bearer"
    assert guarded.annotate(text="a").status == 401
    for path in ("/healthz", "/readyz", "/docs", "/openapi.json"):  # the page links them, and a link sends no key
        assert guarded.get(path).status == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"authorization": f"Bearer {KEY}"}, 200),
        ({"authorization": f"bearer {SECOND}"}, 200),
        ({"x_api_key": KEY}, 200),
        ({"authorization": f"Bearer {KEY[:-1]}"}, 401),
        ({"authorization": f"Bearer {KEY}x"}, 401),
        ({"authorization": f"Basic {KEY}"}, 401),
        ({"authorization": "Bearer "}, 401),
        ({"x_api_key": "é" * 20}, 401),
    ],
)
def test_keys(guarded, headers, status):
    assert guarded.get("/v1/labels", **headers).status == status


def test_all_keys_are_compared(monkeypatch):
    """A right key takes as many comparisons as a wrong one."""
    import hmac

    compared = []
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append(a == b) or a == b)
    keys = ApiKeys([KEY, SECOND])
    assert keys.allows(KEY) and keys.allows(SECOND) and not keys.allows("x")
    assert len(compared) == 6


def test_keys_are_not_kept_or_shown():
    keys = ApiKeys([KEY])
    assert KEY not in repr(vars(keys))


def test_a_file_of_keys(tmp_path, capsys):
    file = tmp_path / "keys"
    file.write_text(f"# of the curators\n{KEY}\n\n  {SECOND}  \n{KEY}\n")
    file.chmod(0o600)
    keys = ApiKeys.read(file, {VARIABLE: "a-key-of-the-variable, b-key-of-the-variable"})
    assert len(keys) == 4
    assert keys.allows(KEY) and keys.allows("b-key-of-the-variable")
    assert capsys.readouterr().err == ""
    file.chmod(0o644)
    ApiKeys.read(file, {})
    assert "chmod 600" in capsys.readouterr().err
    assert len(ApiKeys.read(None, {})) == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "holds no key"), (f"{KEY}\nshort\n", r":2: is no key: a key has 16 to 256"), ("k y" * 10, ":1: is no key")],
)
def test_what_is_no_key_is_said_without_showing_it(tmp_path, text, said):
    file = tmp_path / "keys"
    file.write_text(text)
    with pytest.raises(InputError, match=said) as error:
        ApiKeys.read(file, {})
    assert "short" not in str(error.value) and "k y" not in str(error.value)
    with pytest.raises(InputError, match="cannot be read"):
        ApiKeys.read(tmp_path / "none", {})
    for empty in ("", " , "):
        with pytest.raises(ConfigError, match="is set and holds no key; unset it"):
            ApiKeys.read(None, {VARIABLE: empty})
    with pytest.raises(ConfigError, match=VARIABLE) as error:
        ApiKeys.read(None, {VARIABLE: "tiny"})
    assert "tiny" not in str(error.value)


def test_where_a_key_stands():
    assert given({"authorization": "Bearer a"}) == given({"x-api-key": "a"}) == "a"
    assert given({"authorization": "Digest a"}) is given({}) is None


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:80", 200),
        ("127.0.0.1:8000", 200),
        ("[::1]:8000", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example:8000", 421),
        ("evil.example@localhost", 421),
        ("localhost:80@evil.example", 421),
        ("", 421),
        ("::1", 421),
    ],
)
def test_the_host_header(client, host, status):
    answer = client.get("/v1/labels", host=host)
    assert answer.status == status
    if status == 421:
        assert "--allowed-host" in answer.json["error"]["message"]


@pytest.mark.parametrize("host", ["10.0.0.7:8000", "[fe80::1]", "evil.example", ""])
def test_health_is_told_whatever_the_host_header(guarded, host):
    """A load balancer asks by the address of the machine, which it may be the only one to know."""
    for path in ("/healthz", "/readyz"):
        assert guarded.get(path, host=host).status == 200
    for path in ("/", "/docs", "/openapi.json", "/metrics", "/v1/labels", "/healthz/", "/nothing"):
        answer = guarded.get(path, host=host, x_api_key=KEY)
        assert (answer.status, answer.reason) == (421, "foreign_host"), path


def test_hosts_that_are_allowed():
    for host in ("127.0.0.1", "::1"):
        assert {"localhost", "kogner.lab", host} <= set(allowed_hosts(host, ("kogner.lab",), bound=host))
    assert allowed_hosts("0.0.0.0", (), bound="0.0.0.0") is None
    assert allowed_hosts("10.0.0.1", ("kogner.lab",), bound="10.0.0.1") == ["10.0.0.1", "kogner.lab"]
    assert "lab" in allowed_hosts("lab", (), bound="127.0.1.1"), "a name of the machine may be loopback"
    for wrong in ("kogner.lab:80", "http://kogner.lab", "*", ""):
        with pytest.raises(ConfigError, match="--allowed-host"):
            allowed_hosts("127.0.0.1", (wrong,), bound="127.0.0.1")
    assert [is_loopback(host) for host in ("127.0.0.5", "::1", "::ffff:127.0.0.1", "0.0.0.0", "::ffff:10.0.0.1")] == [
        True, True, True, False, False]  # fmt: skip


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "0x7f000001", "localhost"])
def test_other_ways_to_write_loopback_are_loopback(host):
    try:
        own = bind(host, 0)
    except InputError:
        pytest.skip(f"this system knows no {host}")
    with own:
        assert "localhost" in allowed_hosts(host, (), bound=own.getsockname()[0])


def test_cors_is_off_by_default(client):
    answer = client.get("/v1/labels", origin=ORIGIN)
    assert answer.status == 200 and "access-control-allow-origin" not in answer.headers
    answer = client.ask("OPTIONS", "/v1/annotate", origin=ORIGIN, access_control_request_method="POST")
    assert answer.status == 405 and "access-control-allow-origin" not in answer.headers


def test_cors_for_an_origin(guarded):
    asked = {"origin": ORIGIN, "access_control_request_method": "POST",
             "access_control_request_headers": "authorization,content-type"}  # fmt: skip
    preflight = guarded.ask("OPTIONS", "/v1/annotate", **asked)
    assert preflight.status == 200, "a preflight has no key"
    assert preflight.headers["access-control-allow-origin"] == ORIGIN
    body = json.dumps({"text": "a", "labels": LABELS}).encode()
    sent = {"origin": ORIGIN, "content_type": "application/json"}
    answer = guarded.ask("POST", "/v1/annotate", body, authorization=f"Bearer {KEY}", **sent)
    assert answer.status == 200 and answer.headers["access-control-allow-origin"] == ORIGIN
    refused = guarded.ask("POST", "/v1/annotate", body, **sent)
    assert refused.status == 401 and refused.headers["access-control-allow-origin"] == ORIGIN
    other = guarded.ask("OPTIONS", "/v1/annotate", **(asked | {"origin": "https://evil.example"}))
    assert other.status == 400 and "access-control-allow-origin" not in other.headers


def test_origins_are_named_one_by_one():
    assert check_origins(("https://a.org", "http://localhost:3000")) == ("https://a.org", "http://localhost:3000")
    for wrong in ("*", "a.org", "https://a.org/path", "https://*.a.org", "null"):
        with pytest.raises(ConfigError, match="--cors-origin"):
            check_origins((wrong,))


def test_safe_headers_on_every_answer(client):
    for answer in (client.get("/healthz"), client.get("/nothing"), client.annotate(raw=b"{"), client.get("/docs")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"
        assert "server" not in answer.headers
