"""The HTTP service: predictions of the live model, its health, its card and its figures.

A request is read within a limit of size and time, checked against the contract in the live model's card,
converted by the same function as in training, and answered by one model that is named in the answer.
"""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.concurrency import run_in_threadpool
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from evergreen.errors import DataError
from evergreen.registry.store import Store
from evergreen.scoring.predictions import Predictions, predict
from evergreen.serving import documents
from evergreen.serving.live_model import LiveModel, LoadedModel
from evergreen.serving.metrics import Metrics
from evergreen.serving.rows import RequestError, features_of, parse_json, rows_of, unseen_categories
from evergreen.settings import ServingSettings, Settings

BODY_SECONDS = 30.0  # for a body to arrive; a client that takes longer holds a connection for nothing
NO_MODEL = "There is no model in service; /readyz has the reason."
LOCAL = ("127.0.0.1", "localhost", "::1")

logger = logging.getLogger(__name__)


def create_app(settings: Settings, *, shared_metrics: bool = False) -> FastAPI:
    """The service over the models in `settings.registry.folder`; loads the live one when it starts.

    `shared_metrics` sums the figures over several worker processes (see `Metrics`).
    """
    metrics = Metrics(shared=shared_metrics)
    live = LiveModel(Store.of(settings), metrics)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await run_in_threadpool(live.start)
        yield
        await run_in_threadpool(live.stop)

    app = FastAPI(
        title="Evergreen", description=__doc__.split("\n\n")[1], version="1", lifespan=lifespan, redoc_url=None
    )
    _add_predict(app, live, metrics, settings.serving)
    _add_health(app, live)
    _add_metrics(app, metrics)
    _describe_live_features(app, live, settings.serving.max_rows)
    app.add_exception_handler(RequestError, _refuse)
    app.add_exception_handler(Exception, _fail)
    if settings.serving.host in LOCAL:
        # A web page whose name was made to point at this machine sends its own name as Host.
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=[*LOCAL, "[::1]"])
    app.add_middleware(Measure, count=metrics.count_request)
    return app


def _add_predict(app: FastAPI, live: LiveModel, metrics: Metrics, limits: ServingSettings) -> None:
    @app.post(
        "/predict",
        summary="Predict rows",
        responses={
            200: {"model": documents.PredictAnswer},
            **documents.errors(400, 408, 413, 415, 422, 503),
        },
        response_class=JSONResponse,
    )
    async def predict_rows(request: Request) -> JSONResponse:
        """Predict one row or many, in the order they were sent.

        Features are named as in training; null is a missing value. A category the model never saw is
        predicted and reported under `warnings`; anything else that does not fit is refused with its row
        and feature. Columns of the reference that are no features may be sent and are passed over.
        """
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise RequestError(415, "Send JSON, with the header Content-Type: application/json.")
        body = await _read_body(request, int(limits.max_body_mb * 1e6))
        loaded = live.loaded
        if loaded is None:
            raise RequestError(503, NO_MODEL)
        return JSONResponse(await run_in_threadpool(_answer, loaded, body, limits.max_rows, metrics))


async def _read_body(request: Request, limit: int) -> bytes:
    """The body of a request, never more of it than the limit."""
    too_large = RequestError(413, f"The body is larger than {limit / 1e6:g} MB; send fewer rows at a time.")
    if int(request.headers.get("content-length", "0")) > limit:
        raise too_large
    pieces, size = [], 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for piece in request.stream():
                size += len(piece)
                if size > limit:
                    raise too_large
                pieces.append(piece)
    except TimeoutError:
        raise RequestError(408, f"The body did not arrive within {BODY_SECONDS:g} s.") from None
    return b"".join(pieces)


def _answer(loaded: LoadedModel, body: bytes, max_rows: int, metrics: Metrics) -> dict[str, Any]:
    """Everything between the bytes of a request and the document of its answer, by one and the same model."""
    try:
        rows = rows_of(parse_json(body), max_rows)
        features = features_of(rows, loaded.contract)
    except RequestError as error:
        metrics.refused.inc(error.rows)
        raise
    unseen = unseen_categories(features, loaded.contract)
    try:
        predictions = predict(loaded.model, features, loaded.card.task, loaded.contract.classes)
    except DataError as error:
        # The rows fit the contract and still the model could not take them, such as a null it never learned.
        metrics.failures.inc()
        logger.error("%s: %s", loaded.card.name, error)
        raise RequestError(422, "The model could not answer these rows; the server's log has the reason.") from None
    metrics.rows.inc(len(rows))
    metrics.unseen.inc(sum(len(found) for found in unseen.values()))
    restore = LABEL_TYPES[loaded.contract.label_type] if loaded.card.task == "classification" else float
    return {
        "predictions": [restore(value) for value in predictions.values],
        "probabilities": _probabilities(predictions, restore),
        "model": {"digest": loaded.card.digest, "version": loaded.card.version},
        "warnings": [
            {"feature": name, "warning": "unseen_category", "rows": len(found), "first_row": int(found[0])}
            for name, found in unseen.items()
        ],
    }


# Labels are compared as text inside; a client gets them back in the type they had in the table.
LABEL_TYPES: dict[str, Callable[[Any], Any]] = {
    "text": str,
    "integer": int,
    "number": float,
    "boolean": lambda label: label == "1",
}


def _probabilities(predictions: Predictions, restore: Callable[[Any], Any]) -> list[dict[str, float]] | None:
    if predictions.probabilities is None:
        return None
    labels = [restore(name) for name in predictions.classes]
    names = [label if isinstance(label, str) else json.dumps(label) for label in labels]
    return [dict(zip(names, map(float, row), strict=True)) for row in predictions.probabilities]


def _add_health(app: FastAPI, live: LiveModel) -> None:
    @app.get("/healthz", summary="Is the process alive?")
    async def healthz() -> documents.Alive:
        """Always 200 while the process can answer; says nothing of the model."""
        return documents.Alive()

    @app.get(
        "/readyz",
        summary="Can it predict?",
        responses={200: {"model": documents.Readiness}, 503: {"model": documents.Readiness}},
    )
    async def readyz() -> JSONResponse:
        """200 when a verified model is loaded, 503 when not.

        `problem` says why the file that is live now is not in service; the last good model goes on answering.
        """
        loaded, problem = live.loaded, live.problem
        model = {"digest": loaded.card.digest, "version": loaded.card.version} if loaded else None
        return JSONResponse(
            {"ready": loaded is not None, "model": model, "problem": problem or None}, 200 if loaded else 503
        )

    @app.get("/model", summary="What is the model?", responses=documents.errors(503))
    async def model() -> documents.ModelSummary:
        """The contract of the features and what is known of the model that answers now."""
        loaded = live.loaded
        if loaded is None:
            raise RequestError(503, NO_MODEL)
        return documents.summarize_model(loaded)


def _add_metrics(app: FastAPI, metrics: Metrics) -> None:
    @app.get("/metrics", summary="Figures for Prometheus", response_class=PlainTextResponse)
    def figures() -> PlainTextResponse:
        return PlainTextResponse(metrics.render(), media_type=CONTENT_TYPE_LATEST)


def _describe_live_features(app: FastAPI, live: LiveModel, max_rows: int) -> None:
    """Let /openapi.json, and so /docs, name the features of the model that is in service when it is asked for."""
    describe = app.openapi

    def describe_now() -> dict[str, Any]:
        contract = live.loaded.contract if live.loaded else None
        description = describe()
        description["paths"]["/predict"]["post"]["requestBody"] = documents.request_body(contract, max_rows)
        return description

    app.openapi = describe_now  # type: ignore[method-assign]


async def _refuse(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestError)
    return JSONResponse(documents.error_document(error), error.status)


async def _fail(_request: Request, _error: Exception) -> JSONResponse:
    """Anything nobody expected; the traceback is in the log, and nothing of the request in the answer."""
    return JSONResponse({"detail": "Unexpected error; the server's log has the traceback."}, 500)


class Measure:
    """Counts every request with its status and duration."""

    def __init__(self, app: ASGIApp, count: Callable[[str, int, float], None]) -> None:
        self.app, self.count = app, count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, note_status)
        finally:
            self.count(scope["path"], status, time.perf_counter() - started)
