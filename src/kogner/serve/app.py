"""The HTTP interface: routes, and what they answer."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path as FilePath
from typing import Annotated, Any

from fastapi import FastAPI, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from kogner import __version__
from kogner.errors import KognerError
from kogner.records import Document, Link, Mention
from kogner.serve import files, metrics, schemas
from kogner.serve.access import Access
from kogner.serve.docs_page import docs_page
from kogner.serve.door import OPEN, SAFE, Door, Guard, problem
from kogner.serve.graph import GraphReader
from kogner.serve.limits import RequestError
from kogner.serve.parsing import MalformedError, parse
from kogner.serve.requests import BYTES, JSON, Bodies, to_work
from kogner.serve.service import Service

PAGE = FilePath(__file__).parent / "page"
LONGEST_ID = 1000
MOST_FIRST = 10**9  # of a document in a file
FIRST = "Number, from 0, of the first document: no more come than a request may have, and `next` says where to go on."
MOST_NEIGHBOURS = 500
AT_ONCE = 100_000  # bytes of a body that is parsed in the event loop, which stands still meanwhile
FEW_ENTITIES = 500  # that are written there
_ABOUT = """Finds entities of any type you name in text, and gives them ids of a graph.

Spans are half-open `[start, end)` and count Unicode code points of the text as sent. Every answer that is no success
has the form of `ProblemAnswer`; 429 and 503 say in `Retry-After` when to ask again."""
_PROBLEMS: dict[int, str] = {
    400: "Not what can be asked: malformed JSON, labels that are none.",
    401: "No API key, or an unknown one.",
    404: "Not there.",
    405: "Another method.",
    408: "The body came too slowly.",
    413: "The body, or the texts together, are too large; the message says the limit and the way out.",
    415: "No JSON.",
    421: "A Host that this server does not answer to.",
    422: "Not as the schema says, or more than its limits; the message says where, and the way out.",
    429: "More waits than can be done soon.",
    500: "A defect of the server; its log says more under the `request_id`.",
    503: "Not done in time, not ready, or stopping.",
}


def create_app(service: Service, access: Access, *, page: FilePath = PAGE) -> FastAPI:
    """The application. page: folder of static files that is served at `/` where it has an index.html."""

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        yield
        service.batcher.end()
        await service.files.end()

    app = FastAPI(
        title="KoGNER",
        version=__version__,
        description=_ABOUT,
        lifespan=life,
        docs_url=None,  # FastAPI's pages load their scripts from elsewhere
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    has_page = (page / "index.html").is_file()
    _handle_errors(app)
    _add_health(app, service)
    bodies = Bodies(service.limits)
    service.metrics.gauge("kogner_held_bytes", "Bytes of bodies that are held.", lambda: bodies.held)
    _add_annotate(app, service, bodies)
    _add_files(app, service, bodies)
    _add_labels(app, service)
    _add_graph(app, service.graph)
    _add_docs(app, home=not has_page)
    public: set[str] = {"/", "/docs", "/openapi.json"}
    if has_page:
        public |= {f"/{file.relative_to(page).as_posix()}" for file in page.rglob("*") if file.is_file()}
        _add_page(app, _Page(directory=page, html=True), sorted(public))
    # The last one added is the outermost.
    app.add_middleware(Guard, keys=access.keys, hosts=access.hosts, public=public)
    if access.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(access.origins),
            allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type", "x-api-key", "x-request-id"],
            expose_headers=["retry-after", "x-request-id", "x-not-kept", "content-disposition"],
            max_age=600,
        )
    app.add_middleware(Door, metrics=service.metrics, lifecycle=service.lifecycle)
    _describe(app, service, keys=bool(access.keys))
    return app


class _Page(StaticFiles):
    """The page's files, read anew where they have changed."""

    def file_response(self, full_path: Any, *args: Any, **more: Any) -> Response:
        response = super().file_response(full_path, *args, **more)
        response.headers["cache-control"] = "no-cache"
        if str(full_path).endswith(".js"):  # some systems call it text/plain, which no browser runs
            response.headers["content-type"] = "text/javascript; charset=utf-8"
        return response


def _add_page(app: FastAPI, files_of: _Page, paths: Iterable[str]) -> None:
    """A route for each file: a mount at `/` would take what other routes refuse, and answer it with 404."""

    async def file(request: Request) -> Response:
        return await files_of.get_response(files_of.get_path(request.scope), request.scope)

    for path in paths:
        app.add_route(path, file, methods=["GET"], include_in_schema=False)


def _handle_errors(app: FastAPI) -> None:
    def answer(request: Request, error: Exception) -> Response:
        state = request.scope["state"]
        return problem(error, request_id=state["request_id"], told=state["told"])

    async def ours(request: Request, error: Exception) -> Response:
        return answer(request, error)

    async def of_query(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        details = [(".".join(map(str, one["loc"])), str(one["msg"])) for one in error.errors()]
        message = f"{details[0][0]}: {details[0][1]}"
        return answer(request, MalformedError(422, "invalid_request", message, details))

    async def of_routes(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        said = {404: ("not_found", "there is nothing at this address; see /docs"),
                405: ("method_not_allowed", "this address takes other methods, see Allow")}  # fmt: skip
        reason, message = said.get(error.status_code, ("refused", str(error.detail)))
        response = answer(request, RequestError(error.status_code, reason, message))
        response.headers.update(error.headers or {})
        return response

    app.add_exception_handler(KognerError, ours)
    app.add_exception_handler(RequestValidationError, of_query)
    app.add_exception_handler(HTTPException, of_routes)


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {
        status: {"model": schemas.ProblemAnswer, "description": _PROBLEMS[status]}
        for status in sorted({401, 405, 421, 500, *statuses})
    }


def _add_health(app: FastAPI, service: Service) -> None:
    @app.get("/healthz", tags=["health"], responses=_problems(503), response_model=schemas.Health)
    async def healthz() -> Response:
        """Whether the process works; needs no key."""
        if not service.batcher.alive and not service.lifecycle.stopping:
            raise RequestError(503, "dead", "the model's thread has ended; start the server again")
        return JSONResponse({"status": "ok"})

    @app.get("/readyz", tags=["health"], responses=_problems(503), response_model=schemas.Health)
    async def readyz() -> Response:
        """Whether requests are taken: the model has answered once, and the server is not stopping; needs no key."""
        if service.lifecycle.stopping:
            raise RequestError(503, "stopping", "the server is stopping", retry_after=5)
        if not service.ready:
            raise RequestError(503, "starting", "the model has not answered yet", retry_after=1)
        return JSONResponse({"status": "ok"})

    @app.get("/metrics", tags=["health"], responses={200: {"content": {"text/plain": {}}}, **_problems()},
             response_class=Response)  # fmt: skip
    async def prometheus() -> Response:
        """Counts and times, for Prometheus."""
        return Response(service.metrics.text(), media_type=metrics.CONTENT_TYPE)


def _body(kind: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {kind: {"schema": schema}}}}


def _add_annotate(app: FastAPI, service: Service, bodies: Bodies) -> None:

    @app.post(
        "/v1/annotate",
        tags=["annotate"],
        response_model=schemas.AnnotateAnswer,
        responses=_problems(400, 408, 413, 415, 422, 429, 503),
        openapi_extra=_body(JSON, {"$ref": "#/components/schemas/AnnotateRequest"}),
    )
    async def annotate(request: Request) -> Response:
        """Find the entities in a text, or in several."""
        told = request.scope["state"]["told"]
        async with bodies.read(request) as body:
            if len(body) <= AT_ONCE:
                asked = parse(schemas.AnnotateRequest, body)
            else:
                asked = await run_in_threadpool(parse, schemas.AnnotateRequest, body)
            body.clear()
            work = to_work(asked, service.limits, graph=service.graph is not None)
            told |= {
                "documents": len(work.documents),
                "characters": sum(len(document.text) for document in work.documents),
                "labels": len(work.question.labels),
            }
            found = await service.annotate(work, request.receive)
        entities = work.mentions
        service.metrics.entities.inc(entities)
        told |= {"entities": entities, "queue_ms": round(1000 * ((work.begun or work.arrived) - work.arrived), 1)}
        asked_for = (found, service.thresholds(work.question), asked.explain)
        if entities <= FEW_ENTITIES:
            return Response(_annotated(*asked_for), media_type=JSON)
        return Response(await run_in_threadpool(_annotated, *asked_for), media_type=JSON)


def _annotated(found: Sequence[Document], thresholds: Mapping[str, float], explain: bool) -> bytes:
    """`AnnotateAnswer` as JSON, made in pieces: one call of json's would stop all other threads until it ends."""
    out = bytearray(b'{"documents": [')
    for number, document in enumerate(found):
        out += b", " if number else b""
        out += b'{"id": %s, "entities": [' % _json(document.id)
        for at in range(0, len(document.mentions), FEW_ENTITIES):
            some = [_entity(mention, explain=explain) for mention in document.mentions[at : at + FEW_ENTITIES]]
            out += b", " if at else b""
            out += _json(some)[1:-1]
        out += b"]}"
    return bytes(out + b'], "thresholds": %s}' % _json(thresholds))


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _entity(mention: Mention, *, explain: bool) -> dict[str, Any]:
    """A mention as `FoundEntity`."""
    together = len(mention.ids)
    said = {
        "start": mention.start,
        "end": mention.end,
        "text": mention.text,
        "type": mention.type,
        "score": mention.score,
        "ids": [_link(link, explain=explain) for link in mention.links[: None if explain else max(together, 1)]],
    }
    return said | {"together": together} if together > 1 else said


def _link(link: Link, *, explain: bool) -> dict[str, Any]:
    """A link as `EntityId`."""
    said: dict[str, Any] = {"id": link.id, "name": link.name, "score": link.score}
    if explain:
        said |= {"how": link.how, "matched": link.found, "related": list(link.related)}
        said |= {} if link.likeness is None else {"likeness": link.likeness}
    return said


def _add_files(app: FastAPI, service: Service, bodies: Bodies) -> None:
    @app.post("/v1/documents", tags=["files"], response_model=schemas.ReadAnswer,
              responses=_problems(400, 408, 413, 415, 422, 429, 503),
              openapi_extra=_body(BYTES, {"type": "string", "format": "binary"}))  # fmt: skip
    async def read(
        request: Request,
        name: Annotated[str, Query(max_length=LONGEST_ID, description="Of the file; its ending helps.")] = "text",
        first: Annotated[int | None, Query(ge=0, le=MOST_FIRST, description=FIRST)] = None,
    ) -> Response:
        """The texts of a file, to be annotated: plain text, JSON lines, PubTator, BioC, PubMed, CSV, ..."""
        async with bodies.read(request, BYTES) as body:
            _, answer = await service.files.ask("read", body, name=name, first=first)
        return Response(answer, media_type=JSON)

    @app.post("/v1/export", tags=["files"], response_class=Response,
              responses={200: {"content": {kind: {} for kind in ("text/plain", *files.KINDS.values())}},
                         **_problems(400, 408, 413, 415, 422, 429, 503)},
              openapi_extra=_body(JSON, {"$ref": "#/components/schemas/ExportRequest"}))  # fmt: skip
    async def export(request: Request) -> Response:
        """A file of annotated documents. What its format cannot hold is counted in the header `X-Not-Kept`."""
        async with bodies.read(request) as body:
            said, data = await service.files.ask("write", body)
        form, notes = said["format"], said["notes"]
        headers = {"content-disposition": f'attachment; filename="found{files.ENDINGS[form]}"'}
        if notes:
            headers["x-not-kept"] = "; ".join(notes).encode("ascii", "replace").decode()[:2000]
        return Response(data, media_type=files.KINDS.get(form, "text/plain; charset=utf-8"), headers=headers)


def _add_labels(app: FastAPI, service: Service) -> None:
    info, limits = service.annotator.predictor.info, service.limits
    answer = schemas.LabelsAnswer(
        labels=[
            schemas.Label(label=name, threshold=info.threshold(name), agreement=info.agreement_of(name))
            for name in info.types
        ],
        default_threshold=info.default_threshold,
        suggestions=[] if service.graph is None else service.graph.suggestions(info.types),
        graph=service.graph is not None,
        limits={
            name: getattr(limits, name)
            for name in ("body_bytes", "documents", "characters", "labels", "label_characters")
        },
    )

    @app.get("/v1/labels", tags=["annotate"], responses=_problems())
    async def labels() -> schemas.LabelsAnswer:
        """Types that the model was trained on, types of the graph to try, and the limits of a request."""
        return answer


def _add_graph(app: FastAPI, graph: GraphReader | None) -> None:
    def reader() -> GraphReader:
        if graph is None:
            raise RequestError(404, "no_graph", "this server has no graph; start it with --graph DIR")
        return graph

    # Functions without async run in threads: they read files.
    @app.get("/v1/entities/{id:path}", tags=["graph"], responses=_problems(404, 422))
    def entity(id: Annotated[str, Path(min_length=1, max_length=LONGEST_ID)]) -> schemas.EntityAnswer:
        """An entity of the graph: its names, description, type, and ids elsewhere."""
        return reader().entity(id)

    @app.get("/v1/graph/neighbours", tags=["graph"], responses=_problems(404, 422))
    def neighbours(
        id: Annotated[str, Query(min_length=1, max_length=LONGEST_ID, description="Its own, or one elsewhere.")],
        limit: Annotated[int, Query(ge=1, le=MOST_NEIGHBOURS, description="Edges at most.")] = 30,
    ) -> schemas.NeighboursAnswer:
        """What the graph relates an entity to, as nodes and edges that can be drawn."""
        return reader().neighbours(id, limit)


def _add_docs(app: FastAPI, *, home: bool) -> None:
    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        policy = SAFE["content-security-policy"].replace("style-src 'self'", "style-src 'unsafe-inline'")
        return HTMLResponse(docs_page(app.openapi()), headers={"content-security-policy": policy})

    if home:

        @app.get("/", include_in_schema=False)
        async def index() -> Response:
            return RedirectResponse("/docs")


def _describe(app: FastAPI, service: Service, *, keys: bool) -> None:
    """Add to the OpenAPI document what FastAPI does not see: the body of annotate, limits, and keys."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            found = made()
            for asked in (schemas.AnnotateRequest, schemas.ExportRequest):
                extra = asked.model_json_schema(ref_template="#/components/schemas/{model}")
                found["components"]["schemas"] |= extra.pop("$defs", {}) | {asked.__name__: extra}
            schemas.set_limits(found, service.limits)
            if keys:
                found["components"]["securitySchemes"] = {
                    "bearer": {"type": "http", "scheme": "bearer"},
                    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                }
                found["security"] = [{"bearer": []}, {"header": []}]
                for path in OPEN:
                    found["paths"][path]["get"]["security"] = []
            app.openapi_schema = found
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
