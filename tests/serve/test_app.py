"""What the interface answers: what the predictor finds, the graph, health, and clear errors."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser

import pytest
from running import LABELS, TEXTS, serving

from kogner.annotate.annotator import Annotator, GraphUse
from kogner.annotate.predictor import Settings
from kogner.serve.limits import Limits

LOW = {"threshold": 0.02}


def keys(document) -> list[tuple]:
    return [(one["start"], one["end"], one["text"], one["type"], one["score"]) for one in document["entities"]]


def expected(annotator, text, **settings) -> list[tuple]:
    found = annotator.predictor.predict_text(text, labels=LABELS, settings=Settings(**settings), names=annotator.names)
    return [(one.start, one.end, one.text, one.type, one.score) for one in found]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize(
    "settings",
    [
        {},
        LOW,
        {"thresholds": {"disease": 0.02}},
        LOW | {"nested": True},
        LOW | {"multi_label": True},
        LOW | {"overlap": "all"},
        LOW | {"overlap": "longest"},
    ],
)
def test_one_text_is_what_the_predictor_finds(client, annotator, text, settings):
    answer = client.annotate(text=text, **settings)
    assert answer.status == 200, answer.body
    (document,) = answer.json["documents"]
    assert document["id"] == "text"
    assert keys(document) == expected(annotator, text, **settings)


def test_the_low_threshold_finds_something(annotator):
    assert len(expected(annotator, TEXTS[0], **LOW)) > 3


def test_thresholds_of_the_answer_are_those_that_were_taken(client):
    assert client.annotate(text="a").json["thresholds"] == {"chemical": 0.05, "disease": 0.06}
    given = client.annotate(text="a", threshold=0.3, thresholds={"disease": 0.4}).json["thresholds"]
    assert given == {"chemical": 0.3, "disease": 0.4}


def test_documents_come_back_in_their_order_with_their_ids(client, annotator):
    documents = [{"id": f"d{number}", "text": TEXTS[number % 4] * (1 + number % 3)} for number in range(20)]
    answer = client.annotate(documents=documents, **LOW).json["documents"]
    assert [one["id"] for one in answer] == [one["id"] for one in documents]
    for got, sent in zip(answer, documents, strict=True):
        wanted = expected(annotator, sent["text"], **LOW)
        assert [key[:4] for key in keys(got)] == [key[:4] for key in wanted]
        # Documents that share a batch are padded otherwise, which is within rounding.
        assert [key[4] for key in keys(got)] == pytest.approx([key[4] for key in wanted], abs=2e-4)
    assert client.annotate(documents=[]).json["documents"] == []


def test_labels_are_cleaned_as_everywhere(client, annotator):
    answer = client.annotate({"text": TEXTS[0], "labels": [" chemical ", "disease"], "thresholds": {"chemical ": 0.02}})
    assert keys(answer.json["documents"][0]) == expected(annotator, TEXTS[0], thresholds={"chemical": 0.02})


def test_thresholds_that_differ_in_blanks_only(client):
    answer = client.annotate(text="a", thresholds={"disease": 0.1, " disease": 0.9})
    assert (answer.status, answer.reason) == (400, "label_twice")


def test_what_fails_is_not_counted_as_annotated(annotator):
    with serving(annotator) as client:
        done = client.metric("kogner_documents_total")

        def broken(question, asked):
            raise RuntimeError

        client.service.batcher._annotate = broken
        assert client.annotate(text="a").status == 500
        assert client.metric("kogner_documents_total") == done
        assert client.metric("kogner_failed_documents_total") == 1


def test_many_clients_at_once_get_what_one_gets(client):
    alone = {text: client.annotate(text=text, **LOW).json["documents"][0] for text in TEXTS}
    before = client.metric("kogner_batch_documents_count")
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda text: (text, client.annotate(text=text, **LOW)), TEXTS * 25))
    for text, answer in found:
        assert answer.status == 200
        (document,) = answer.json["documents"]
        assert [key[:4] for key in keys(document)] == [key[:4] for key in keys(alone[text])]
        scores = [key[4] for key in keys(document)]
        assert scores == pytest.approx([key[4] for key in keys(alone[text])], abs=2e-4)
    assert client.metric("kogner_batch_documents_count") - before < 60, "100 requests of 16 clients shared no batches"


def test_ids_of_the_graph(linked):
    answer = linked.annotate(text=TEXTS[0], **LOW, overlap="all", multi_label=True)
    found = {(one["text"], one["type"]): one["ids"] for one in answer.json["documents"][0]["entities"]}
    assert found["aspirin", "chemical"] == [{"id": "C:1", "name": "Aspirin", "score": pytest.approx(0.97, abs=0.05)}]
    assert found["aspirin", "disease"] == []
    bare = linked.annotate(text=TEXTS[0], **LOW, link=False).json["documents"][0]["entities"]
    assert bare and all(one["ids"] == [] for one in bare)


def test_explained_ids_say_why(linked):
    asked = {"text": "aspirin for fever", "labels": LABELS, "threshold": 0.02, "overlap": "all", "explain": True}
    entities = linked.annotate(asked).json["documents"][0]["entities"]
    (own,) = [one["ids"][0] for one in entities if (one["text"], one["type"]) == ("aspirin", "chemical")]
    assert set(own) == {"id", "name", "score", "how", "matched", "related"}
    assert own["related"] == ["D:1"]


def test_names_of_the_graph_count_as_in_the_predictor(linked, model, graph):
    own = Annotator.open(str(model), GraphUse(str(graph)))
    answer = linked.annotate(text=TEXTS[0], **LOW)
    assert keys(answer.json["documents"][0]) == expected(own, TEXTS[0], **LOW)


def test_requests_that_link_share_a_batch_with_those_that_do_not(linked):
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda link: (link, linked.annotate(text=TEXTS[0], link=link, **LOW)), [True, False] * 8)
        )
    for link, answer in answers:
        ids = [one["ids"] for one in answer.json["documents"][0]["entities"]]
        assert any(ids) == link


def test_labels_and_suggestions(linked, client):
    assert linked.get("/v1/labels").json == {
        "labels": [{"label": "chemical", "threshold": 0.05, "agreement": 0.0}],
        "default_threshold": 0.06,
        "suggestions": [
            {"label": "body part", "type": "BodyPart", "entities": 2},
            {"label": "disease", "type": "Disease", "entities": 2},
        ],
        "graph": True,
        "limits": {"body_bytes": 8 << 20, "documents": 256, "characters": 100_000, "labels": 200,
                   "label_characters": 200},
    }  # fmt: skip
    assert client.get("/v1/labels").json["suggestions"] == []


def test_an_entity_by_its_id_or_one_elsewhere(linked):
    own = {"id": "C:1", "type": "Chemical", "name": "Aspirin", "synonyms": ["acetylsalicylic acid"],
           "description": "Lowers fever.", "ids": ["MESH:D1"], "neighbours": 3, "also": []}  # fmt: skip
    assert linked.get("/v1/entities/C:1").json == own
    assert linked.get("/v1/entities/MESH:D1").json == own
    assert linked.get("/v1/entities/X:shared").json["also"] == ["D:1"]
    assert linked.get("/v1/entities/odd/id%201%3F").json["name"] == "Odd"


def test_neighbours_as_nodes_and_edges(linked):
    answer = linked.get("/v1/graph/neighbours?id=MESH:D1").json
    assert (answer["id"], answer["total"]) == ("C:1", 3)
    assert answer["relations"] == [
        {"relation": "seen_with", "direction": "out", "count": 1},
        {"relation": "treats", "direction": "out", "count": 2},
    ]
    assert {node["id"]: node["name"] for node in answer["nodes"]} == {
        "C:1": "Aspirin", "C:2": "Morphine", "D:1": "Fever", "D:2": "Headache"}  # fmt: skip
    assert answer["nodes"][0] == {"id": "C:1", "name": "Aspirin", "type": "Chemical"}
    edges = {(edge["head"], edge["relation"], edge["tail"]) for edge in answer["edges"]}
    assert edges == {("C:1", "treats", "D:1"), ("C:1", "treats", "D:2"), ("C:1", "seen_with", "C:2")}
    turned = linked.get("/v1/graph/neighbours?id=A:1").json
    assert turned["edges"] == [{"head": "D:2", "relation": "located_in", "tail": "A:1"}]
    assert turned["relations"] == [{"relation": "located_in", "direction": "in", "count": 1}]


def test_a_few_neighbours_are_of_each_relation(linked):
    answer = linked.get("/v1/graph/neighbours?id=C:1&limit=2").json
    assert {edge["relation"] for edge in answer["edges"]} == {"treats", "seen_with"}
    assert answer["total"] == 3


def test_what_the_graph_lacks_is_not_found(linked, client):
    for path in ("/v1/entities/C:9", "/v1/entities/%00", "/v1/graph/neighbours?id=C:9"):
        answer = linked.get(path)
        assert (answer.status, answer.reason) == (404, "no_entity")
    answer = client.get("/v1/entities/C:1")
    assert (answer.status, answer.reason) == (404, "no_graph")
    assert "--graph" in answer.json["error"]["message"]
    assert linked.get("/v1/graph/neighbours").status == 422
    assert linked.get("/v1/graph/neighbours?id=C:1&limit=0").status == 422


def test_health_and_metrics(client):
    client.annotate(text=TEXTS[0], **LOW)
    client.annotate(raw=b"{")
    assert client.get("/healthz").json == client.get("/readyz").json == {"status": "ok"}
    text = client.get("/metrics").body.decode()
    for line in (
        'kogner_requests_total{path="/v1/annotate",status="200"}',
        'kogner_request_seconds_bucket{le="0.1",path="/v1/annotate"}',
        'kogner_rejections_total{reason="malformed_json"}',
        "kogner_batch_documents_bucket",
        "kogner_queue_requests 0.0",
        "kogner_queue_characters",
        "kogner_documents_total",
        "kogner_entities_total",
        "process_resident_memory_bytes",
    ):
        assert line in text, line
    assert client.metric("kogner_entities_total") > 0


def test_nothing_a_client_writes_becomes_a_metric(client):
    client.get("/secret-address")
    client.ask("BREW", "/v1/labels")
    text = client.get("/metrics").body.decode()
    assert "secret" not in text and "BREW" not in text


@pytest.mark.parametrize(
    ("asked", "status", "reason", "said"),
    [
        (b"", 400, "malformed_json", "EOF"),
        (b'{"text": "a", "labels": ["x"]', 400, "malformed_json", "line 1 column"),
        (b"\xff\xfe", 400, "malformed_json", "line 1 column 1"),
        (b'{"text": "\\ud800", "labels": ["x"]}', 400, "malformed_json", "hex escape"),
        (b"[" * 100_000, 400, "malformed_json", "recursion"),
        (b"[]", 422, "invalid_request", "object"),
        ({"labels": ["x"]}, 422, "invalid_request", "either text or documents"),
        ({"labels": ["x"], "text": "a", "documents": []}, 422, "invalid_request", "not both"),
        ({"text": "a"}, 422, "invalid_request", "labels"),
        ({"text": "a", "labels": []}, 422, "invalid_request", "labels"),
        ({"text": "a", "labels": "x"}, 422, "invalid_request", "labels"),
        ({"text": "a", "labels": ["x", ""]}, 422, "invalid_request", "labels.1"),
        ({"text": 3, "labels": ["x"]}, 422, "invalid_request", "text"),
        ({"text": "a", "labels": ["x"], "treshold": 0.5}, 422, "invalid_request", "treshold"),
        ({"text": "a", "labels": ["x"], "threshold": "0.5"}, 422, "invalid_request", "threshold"),
        ({"text": "a", "labels": ["x"], "threshold": 1}, 422, "invalid_request", "threshold"),
        (b'{"text": "a", "labels": ["x"], "threshold": NaN}', 422, "invalid_request", "threshold"),
        ({"text": "a", "labels": ["x"], "nested": 1}, 422, "invalid_request", "nested"),
        ({"text": "a", "labels": ["x"], "overlap": "some"}, 422, "invalid_request", "overlap"),
        ({"documents": [{"id": "1"}], "labels": ["x"]}, 422, "invalid_request", "documents.0.text"),
        ({"text": "a", "labels": ["x", " x"]}, 400, "bad_request", "more than once"),
        ({"text": "a", "labels": [" "]}, 400, "bad_request", "no labels"),
        ({"text": "a", "labels": ["x"], "thresholds": {"y": 0.5}}, 400, "unknown_label", "'y'"),
        (
            {"text": "a", "labels": ["x"], "thresholds": {str(number): 0.5 for number in range(300)}},
            422,
            "too_many_thresholds",
            "300 thresholds, the limit is 200",
        ),
        ({"text": "a", "labels": ["x"], "nested": True, "overlap": "best"}, 400, "no_nested_best", "score"),
        ({"text": "a", "labels": ["x"], "link": True}, 400, "no_graph", "--graph"),
    ],
)
def test_what_cannot_be_meant_is_said(client, asked, status, reason, said):
    answer = client.annotate(raw=asked) if isinstance(asked, bytes) else client.annotate(asked)
    assert (answer.status, answer.reason) == (status, reason), answer.body
    error = answer.json["error"]
    assert said in error["message"]
    assert error["request_id"] == answer.headers["x-request-id"]
    assert "Traceback" not in error["message"]
    assert answer.headers["content-type"] == "application/json"


def test_only_json_is_read(client):
    body = json.dumps({"text": "a", "labels": ["x"]}).encode()
    plain = client.ask("POST", "/v1/annotate", body, content_type="text/plain")
    assert (plain.status, plain.reason) == (415, "other_type")
    assert client.ask("POST", "/v1/annotate", body, content_type="application/json; charset=utf-8").status == 200
    packed = client.ask("POST", "/v1/annotate", body, content_type="application/json", content_encoding="gzip")
    assert (packed.status, packed.reason) == (415, "packed")


def test_wrong_addresses_and_methods(client):
    assert (client.get("/v2").status, client.get("/v2").reason) == (404, "not_found")
    answer = client.get("/v1/annotate")
    assert (answer.status, answer.reason, answer.headers["allow"]) == (405, "method_not_allowed", "POST")


def test_a_request_id_of_the_client_is_kept_where_it_is_one(client):
    assert client.get("/healthz", x_request_id="abc-1").headers["x-request-id"] == "abc-1"
    assert client.get("/healthz", x_request_id="a b\tc").headers["x-request-id"] != "a b\tc"


def test_spans_without_end_are_refused(annotator):
    with serving(annotator, Limits(candidates=20)) as client:
        asked = {"text": " ".join(TEXTS), "labels": LABELS}
        answer = client.annotate(asked | {"threshold": 0.001, "overlap": "all"})
        assert answer.status == 400
        assert "raise the threshold" in answer.json["error"]["message"]
        with ThreadPoolExecutor(8) as pool:  # and only those that ask for them
            texts = [" ".join(TEXTS), "no"] * 8
            found = list(pool.map(lambda text: client.annotate(text=text, threshold=0.001).status, texts))
        assert found == [400, 200] * 8


class Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found: list[tuple[str, str]] = []

    def handle_starttag(self, tag, attrs):
        self.found += [(tag, value) for name, value in attrs if name in ("href", "src")]


def test_the_documents_need_nothing_from_elsewhere(client):
    answer = client.get("/docs")
    page = answer.body.decode()
    links = Links()
    links.feed(page)
    assert "<script" not in page
    assert all(value.startswith(("#", "/")) for _, value in links.found)
    targets = {value for _, value in links.found if value.startswith("#")}
    assert targets and all(f'id="{target[1:]}"' in page for target in targets)
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    for path in ("/v1/annotate", "/v1/labels", "/v1/entities/{id}", "/v1/graph/neighbours", "/metrics"):
        assert path in page
    assert client.get("/").headers["content-type"].startswith("text/html")


def test_the_openapi_document_says_the_limits(annotator):
    with serving(annotator, Limits(labels=7, characters=11, documents=3)) as client:
        schemas = client.get("/openapi.json").json["components"]["schemas"]
    asked = schemas["AnnotateRequest"]["properties"]
    assert asked["labels"]["maxItems"] == 7
    assert asked["text"]["maxLength"] == schemas["AskedDocument"]["properties"]["text"]["maxLength"] == 11
    assert asked["documents"]["maxItems"] == 3


def test_a_page_is_served_where_there_is_one(annotator, tmp_path):
    (tmp_path / "index.html").write_text("<p>page</p>")
    (tmp_path / "app.js").write_text("'use strict'")
    with serving(annotator, page=tmp_path, keys=("k" * 20,)) as client:
        answer = client.get("/")
        assert answer.body == b"<p>page</p>"
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
        assert client.get("/app.js").status == 200, "a page asks for its key, so its files need none"
        assert client.get("/v1/labels").status == 401
        assert client.get("/../conftest.py").status in (401, 404)
        key = {"authorization": "Bearer " + "k" * 20}
        assert client.get("/docs", **key).status == 200
        for method, path, status, allow in (
            ("GET", "/v1/annotate", 405, "POST"),
            ("DELETE", "/v1/labels", 405, "GET"),
            ("DELETE", "/app.js", 405, "GET, HEAD"),
            ("POST", "/nothing", 404, None),
            ("GET", "/nothing", 404, None),
        ):
            answer = client.ask(method, path, **key)
            methods = set(answer.headers.get("allow", "").replace(" ", "").split(","))  # in no order
            assert (answer.status, methods) == (status, set((allow or "").replace(" ", "").split(","))), (method, path)
        assert client.get("/index.html").body == b"<p>page</p>"
        etag = client.get("/app.js").headers["etag"]
        assert client.get("/app.js", if_none_match=etag).status == 304
        assert client.ask("HEAD", "/app.js").status == 200
