"""The documents that the service takes and gives, as they stand in its OpenAPI description."""

from dataclasses import asdict
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from evergreen.serving.live_model import LoadedModel
from evergreen.serving.rows import RequestError

Value = str | float | bool | None
Label = str | int | float | bool


class Document(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Rows(Document):
    """Many rows."""

    rows: list[dict[str, Value]] = Field(min_length=1, description="feature → value, each row with every feature")


class Row(Document):
    """One row."""

    row: dict[str, Value] = Field(description="feature → value, with every feature")


class ModelName(Document):
    digest: str = Field(description="SHA-256 of the model's pickle")
    version: int


class Warning(Document):
    feature: str
    warning: Literal["unseen_category"]
    rows: int = Field(description="how many rows")
    first_row: int


class PredictAnswer(Document):
    predictions: list[Label] = Field(description="one per row, in their order and in the target's own type")
    probabilities: list[dict[str, float]] | None = Field(description="class → probability; null without classes")
    model: ModelName = Field(description="the model that made these predictions")
    warnings: list[Warning]


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


def request_body() -> dict[str, Any]:
    """The request body of `/predict` for OpenAPI; the server reads it itself, strictly and within its limits."""
    schemas = [shape.model_json_schema() for shape in (Rows, Row)]
    return {"required": True, "content": {"application/json": {"schema": {"oneOf": schemas}}}}


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
