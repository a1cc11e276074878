"""The documents that the service takes and gives, as they stand in its OpenAPI description."""

from dataclasses import asdict
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from evergreen.data.schema import Column, Contract
from evergreen.serving.live_model import LoadedModel
from evergreen.serving.rows import RequestError, known_besides

Label = str | int | float | bool

VALUES: dict[str, dict[str, Any]] = {
    "number": {"type": ["number", "null"]},
    "boolean": {"enum": [True, False, 1, 0, None]},
    "category": {"type": ["string", "number", "boolean", "null"]},
}


class Document(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ModelName(Document):
    digest: str = Field(description="SHA-256 of the model's pickle")
    version: int


class FoundWarning(Document):
    feature: str
    warning: Literal["unseen_category"]
    rows: int = Field(description="how many rows")
    first_row: int


class PredictAnswer(Document):
    predictions: list[Label] = Field(description="one per row, in their order and in the target's own type")
    probabilities: list[dict[str, float]] | None = Field(description="class → probability; null without classes")
    model: ModelName = Field(description="the model that made these predictions")
    warnings: list[FoundWarning]


class FoundProblem(Document):
    problem: str
    row: int | None
    feature: str | None


class ErrorAnswer(Document):
    detail: str = Field(description="what is wrong, in a sentence")
    problems: list[FoundProblem] = Field(default=[], description="the first of them")
    total: int = Field(default=0, description="how many problems there are")


class Alive(Document):
    status: Literal["ok"] = "ok"


class Readiness(Document):
    ready: bool
    model: ModelName | None
    problem: str | None


class Feature(Document):
    name: str
    kind: Literal["number", "category", "boolean"]
    categories: list[str] = Field(description="known values of a category, most frequent first")


class ModelSummary(Document):
    digest: str
    version: int
    created: str
    origin: str
    task: str
    target: str
    classes: list[str]
    features: list[Feature]
    baseline: dict[str, dict[str, Any]] = Field(description="scores on rows later than all training rows")
    seen_until: str | int | None = Field(description="last time or row that training knew")
    parent: str | None


def request_body(contract: Contract | None, max_rows: int) -> dict[str, Any]:
    """The request body of `/predict` for OpenAPI, with the features of the model in service where there is one.

    The server reads the body itself, strictly and within its limits.
    """
    row: dict[str, Any] = {"type": "object", "description": "feature → value, with every feature"}
    if contract:
        row["properties"] = {column.name: _describe_value(column) for column in contract.columns}
        row["properties"] |= {name: {"description": "passed over"} for name in known_besides(contract)}
        row |= {"required": list(contract.features), "additionalProperties": False}
    rows = {"type": "array", "items": row, "minItems": 1, "maxItems": max_rows}
    shapes = [
        {"type": "object", "properties": {name: shape}, "required": [name], "additionalProperties": False}
        for name, shape in (("row", row), ("rows", rows))
    ]
    return {"required": True, "content": {"application/json": {"schema": {"oneOf": shapes}}}}


def _describe_value(column: Column) -> dict[str, Any]:
    known = {"number": (column.low, column.high), "category": column.categories[:3], "boolean": ()}[column.kind]
    examples = [each for each in known if each is not None]
    return {**VALUES[column.kind], **({"examples": examples} if examples else {})}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Descriptions of error answers, which all have one shape."""
    return {status: {"model": ErrorAnswer} for status in statuses}


def error_document(error: RequestError) -> dict[str, Any]:
    """The answer to a request that can't be answered."""
    return {"detail": error.detail, "problems": [asdict(each) for each in error.problems], "total": error.total}


def summarize_model(loaded: LoadedModel) -> ModelSummary:
    """What a client may want to know of a model, from its card."""
    card = loaded.card
    features = [
        Feature(name=column.name, kind=column.kind, categories=list(column.categories))  # type: ignore[arg-type]
        for column in loaded.contract.columns
    ]
    return ModelSummary(
        digest=card.digest,
        version=card.version,
        created=card.created,
        origin=card.origin,
        task=card.task,
        target=card.target,
        classes=list(card.classes),
        features=features,
        baseline={name: dict(score) for name, score in card.baseline.items()},
        seen_until=card.seen_until,
        parent=card.parent,
    )
