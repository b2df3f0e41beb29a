"""The OpenAPI document as a page that people read. It has no script, so that it needs nothing from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>KoGNER</title><style>
:root { color-scheme: light dark; }
body { font: 16px/1.6 system-ui, sans-serif; max-width: 56rem; margin: 2rem auto; padding: 0 1rem; }
code, pre { font-family: ui-monospace, monospace; font-size: .9em; }
pre { padding: .8em; overflow-x: auto; border: 1px solid; border-radius: .4em; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .3em .8em .3em 0; }
h2 { margin-top: 2.5rem; }
</style></head><body><main>
"""


def docs_page(openapi: Mapping[str, Any]) -> str:
    """HTML of an OpenAPI document: each address with its parameters and answers, then the schemas."""
    return "".join((_HEAD, *_parts(openapi), "</main></body></html>\n"))


def _parts(openapi: Mapping[str, Any]) -> Iterator[str]:
    info = openapi["info"]
    yield f"<h1>{escape(info['title'])} {escape(info['version'])}</h1>"
    yield from (f"<p>{_prose(paragraph)}</p>" for paragraph in info["description"].split("\n\n"))
    yield '<p>For programs: <a href="/openapi.json">openapi.json</a>.</p>'
    schemas = openapi["components"]["schemas"]
    example = json.dumps(schemas["AnnotateRequest"]["examples"][0])
    yield f"<pre>curl -H 'Content-Type: application/json' -d '{escape(example, quote=False)}' ADDRESS/v1/annotate</pre>"
    for path, methods in openapi["paths"].items():
        for method, operation in methods.items():
            yield f"<h2><code>{method.upper()} {escape(path)}</code></h2>"
            yield f"<p>{_prose(operation.get('description', ''))}</p>"
            yield _table("parameter", ((one["name"], one["schema"], one.get("description", ""))
                                       for one in operation.get("parameters", [])))  # fmt: skip
            for content in operation.get("requestBody", {}).get("content", {}).values():
                yield f"<p>Takes {_kind(content['schema'])}.</p>"
            yield "<table><tr><th>status</th><th>answer</th></tr>"
            for status, answer in operation["responses"].items():
                kinds = [_kind(one["schema"]) for one in answer.get("content", {}).values() if "schema" in one]
                yield f"<tr><td>{status}</td><td>{_prose(answer['description'])} {' '.join(kinds)}</td></tr>"
            yield "</table>"
    for name, schema in schemas.items():
        yield f'<h2 id="{escape(name)}">{escape(name)}</h2><p>{_prose(schema.get("description", ""))}</p>'
        yield _table(
            "field", ((field, of, of.get("description", "")) for field, of in schema.get("properties", {}).items())
        )


def _table(what: str, rows: Iterator[tuple[str, Mapping[str, Any], str]]) -> str:
    lines = [
        f"<tr><td><code>{escape(name)}</code></td><td>{_kind(schema)}</td><td>{_prose(said)}</td></tr>"
        for name, schema, said in rows
    ]
    return f"<table><tr><th>{what}</th><th>type</th><th></th></tr>{''.join(lines)}</table>" if lines else ""


def _kind(schema: Mapping[str, Any]) -> str:
    """The type of a schema in a few words."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#{name}">{name}</a>'
    if "anyOf" in schema:
        return " or ".join(map(_kind, schema["anyOf"]))
    if "enum" in schema:
        return ", ".join(f"<code>{escape(json.dumps(one))}</code>" for one in schema["enum"])
    kind = str(schema.get("type", "anything"))
    if kind == "array":
        kind = f"list of {_kind(schema.get('items', {}))}"
    elif kind == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        kind = f"object of {_kind(schema['additionalProperties'])}"
    bounds = [f"{said} {schema[name]}" for name, said in _BOUNDS if name in schema]
    return kind + (f" ({', '.join(bounds)})" if bounds else "")


_BOUNDS = (
    ("minimum", "from"), ("maximum", "to"), ("exclusiveMinimum", "above"), ("exclusiveMaximum", "below"),
    ("minLength", "at least"), ("maxLength", "at most"), ("minItems", "at least"), ("maxItems", "at most"),
)  # fmt: skip


def _prose(text: str) -> str:
    """Escaped, with `code` as code."""
    parts = escape(text, quote=False).split("`")
    return "".join(f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(parts))
