"""Everything a user can set, with defaults, limits and where each value came from.

Order of precedence: flags (`--set section.key=value`), environment (`EVERGREEN_SECTION_KEY`), the
file, the defaults below. `config.toml` says for each key why its default is what it is. Below the
scripts nothing reads the environment: `load` is handed what it may look at.
"""

import difflib
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError, model_validator

from evergreen.errors import UsageError
from evergreen.masking import shown_source

ENVIRONMENT_PREFIX = "EVERGREEN_"
UNITS = {"s": 1, "sec": 1, "second": 1, "m": 60, "min": 60, "minute": 60, "h": 3600, "hour": 3600}
UNITS |= {"d": 86400, "day": 86400, "w": 604800, "week": 604800}


def parse_duration(text: object) -> timedelta | None:
    """A length of time from words such as `14d`, `6 hours`, `90s`; empty means none.

    >>> parse_duration("6 hours")
    datetime.timedelta(seconds=21600)
    """
    if text is None or isinstance(text, timedelta):
        return text
    if not str(text).strip():
        return None
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+?)s?\s*", str(text).lower())
    unit = match and (UNITS.get(match[2]) or UNITS.get(match[2] + "s"))
    if not match or not unit:
        raise ValueError(f"expected a length of time such as '14d', '6 hours' or '90s', found '{text}'")
    return timedelta(seconds=float(match[1]) * unit)


def format_duration(duration: timedelta | None) -> str:
    """The shortest words that `parse_duration` reads back as the same length.

    >>> format_duration(timedelta(days=14))
    '14d'
    """
    if duration is None:
        return ""
    seconds = duration.total_seconds()
    for letter in "dhm":
        if seconds and seconds % UNITS[letter] == 0:
            return f"{seconds / UNITS[letter]:.15g}{letter}"
    return f"{seconds:.15g}s"


Duration = Annotated[
    timedelta | None, BeforeValidator(parse_duration), PlainSerializer(format_duration, return_type=str)
]
Share = Annotated[float, Field(ge=0, le=1)]
Probability = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]

Statistic = Literal["default", "ks", "psi", "js", "wasserstein", "chi2", "mean_shift"]


class Section(BaseModel):
    """One section of the configuration: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DataSettings(Section):
    """Where the rows come from and what their columns mean."""

    source: str = ""
    reference: str = ""
    current: str = ""
    query: str = ""
    time: str = ""
    time_format: str = ""
    target: str = ""
    task: Literal["auto", "classification", "regression"] = "auto"
    positive: str = ""
    identifiers: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    kinds: dict[str, Literal["number", "category", "boolean", "time", "text"]] = {}
    missing: tuple[str, ...] = ("",)
    label_delay: Duration = None
    min_coverage: Share = 0.8
    current_window: str = "all"
    max_out_of_range: Share = 0.01
    max_unseen: Share = 0.01
    allow_extra_columns: bool = True

    @model_validator(mode="after")
    def one_or_two_tables(self) -> "DataSettings":
        if self.source and (self.reference or self.current):
            raise ValueError("set either 'source' (one growing table) or 'reference' and 'current', not both")
        if bool(self.reference) != bool(self.current):
            raise ValueError("'reference' and 'current' go together: set both or neither")
        return self


class DriftRule(Section):
    """A statistic and threshold of the user's for the columns that match a pattern."""

    columns: str
    statistic: Statistic = "default"
    threshold: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def default_has_its_own_thresholds(self) -> "DriftRule":
        if self.statistic == "default" and self.threshold is not None:
            raise ValueError("a 'threshold' needs a 'statistic'; the default uses min_ks, min_psi and min_group")
        return self


class DriftSettings(Section):
    """When a column, and a table, has drifted."""

    alpha: Probability = 0.05
    correction: Literal["bh", "holm", "bonferroni", "none"] = "bh"
    min_rows: Positive = 100
    min_ks: Share = 0.10
    min_psi: Annotated[float, Field(gt=0)] = 0.20
    min_group: Share = 0.05
    min_missing: Share = 0.05
    rules: tuple[DriftRule, ...] = ()


class PerformanceSettings(Section):
    """When the model has become worse, judged on labelled rows."""

    metric: str = "auto"
    max_drop: Annotated[float, Field(gt=0)] = 0.05
    min_score: float | Literal["auto", "off"] = "auto"
    min_labels: Positive = 50
    confidence: Probability = 0.95
    cost_matrix: dict[str, dict[str, float]] = {}
    cost_function: str = ""
    quantile: Probability = 0.5


class PolicySettings(Section):
    """When to retrain, and what may hold a retraining back."""

    mode: Literal["advise", "approve", "auto"] = "auto"
    preset: Literal["hybrid", "schedule", "volume", "drift", "performance"] = "hybrid"
    max_age_days: Annotated[float, Field(gt=0)] = 30.0
    volume: Count = 0
    drift_severity: Literal["minor", "moderate", "major"] = "minor"
    reasons_needed: Positive = 1
    in_a_row: Positive = 1
    cool_down: Count = 1
    max_retrains: Positive = 8
    budget_runs: Positive = 30
    min_new_rows: Count = 1000
    min_new_share: Share = 0.10
    max_backoff: Positive = 16

    @model_validator(mode="after")
    def volume_alone_needs_a_number(self) -> "PolicySettings":
        if self.preset == "volume" and not self.volume:
            raise ValueError("preset 'volume' needs 'volume', such as 5000 new rows; with 0 nothing would ever retrain")
        return self


class TrainingSettings(Section):
    """What is trained, on which rows, within which limits."""

    estimator: str = "auto"
    params: dict[str, Any] = {}
    preprocessing: Literal["auto", "none"] = "auto"
    search: dict[str, list[Any]] = {}
    folds: Annotated[int, Field(ge=2)] = 3
    update: bool = False
    window: str = "auto"
    half_life: Duration = None
    max_rows: Count = 1_000_000
    first_share: Annotated[float, Field(gt=0, le=1)] = 1.0
    holdout_share: Annotated[float, Field(gt=0, lt=1)] = 0.2
    min_holdout: Positive = 200
    max_holdout: Positive = 10_000
    timeout: Duration = timedelta(hours=1)
    memory_gb: Annotated[float, Field(gt=0)] | Literal["off"] = "off"
    seed: Count = 0


class PromotionSettings(Section):
    """What a challenger has to show before it goes live."""

    gate: Literal["superior", "non_inferior", "tutorial"] = "superior"
    min_improvement: Annotated[float, Field(ge=0)] = 0.01
    alpha: Probability = 0.05
    min_rows: Positive = 200
    slices: tuple[str, ...] = ("auto",)
    min_slice_rows: Positive = 100
    max_slice_loss: Annotated[float, Field(gt=0)] = 0.02
    max_latency_ms: Annotated[float, Field(gt=0)] = 250.0
    max_size_mb: Annotated[float, Field(gt=0)] = 500.0


class RegistrySettings(Section):
    """Where models live and how many are kept."""

    folder: str = "model"
    keep_backups: Positive = 10
    pinned: tuple[str, ...] = ()


class ServingSettings(Section):
    """How predictions are served."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 5000
    workers: Positive = 1
    max_rows: Positive = 10_000
    max_body_mb: Annotated[float, Field(gt=0)] = 10.0


class ReportSettings(Section):
    """Where reports go and how many are kept."""

    folder: str = "reports"
    keep: Positive = 90


class AlertSettings(Section):
    """Who is told, about what. The addresses come from the environment only."""

    urls_variable: str = "EVERGREEN_ALERT_URLS"
    events: tuple[Literal["drift", "deployed", "rejected", "failed", "rolled_back"], ...] = (
        "drift",
        "deployed",
        "rejected",
        "failed",
        "rolled_back",
    )
    timeout: Duration = timedelta(seconds=5)
    max_pending: Positive = 100


class ComputeSettings(Section):
    """Where the parallel parts of a fit run."""

    backend: Literal["loky", "threading", "dask"] = "loky"
    address: str = ""
    jobs: int = -1

    @model_validator(mode="after")
    def dask_needs_an_address(self) -> "ComputeSettings":
        if self.backend == "dask" and not self.address:
            raise ValueError("backend 'dask' needs 'address', such as 'tcp://scheduler:8786'")
        return self


class ScheduleSettings(Section):
    """When `scheduler.py` runs the monitor."""

    at: str = "02:00"
    timezone: str = "UTC"
    every: Duration = None
    timeout: Duration = timedelta(hours=6)
    grace: Duration = timedelta(seconds=60)


class Settings(Section):
    """The whole configuration; `root` is the folder that relative paths start from."""

    root: Path = Field(default=Path(), exclude=True)
    data: DataSettings = DataSettings()
    drift: DriftSettings = DriftSettings()
    performance: PerformanceSettings = PerformanceSettings()
    policy: PolicySettings = PolicySettings()
    training: TrainingSettings = TrainingSettings()
    promotion: PromotionSettings = PromotionSettings()
    registry: RegistrySettings = RegistrySettings()
    serving: ServingSettings = ServingSettings()
    reports: ReportSettings = ReportSettings()
    alerts: AlertSettings = AlertSettings()
    compute: ComputeSettings = ComputeSettings()
    schedule: ScheduleSettings = ScheduleSettings()

    def path(self, name: str) -> Path:
        """A path from the configuration, relative to the file it stands in."""
        return (self.root / name).resolve()

    def as_dict(self) -> dict[str, Any]:
        """The values really used, as plain JSON types, for the record of a run; passwords are left out."""
        values = self.model_dump(mode="json")
        values["data"] |= {key: shown_source(values["data"][key]) for key in ("source", "reference", "current")}
        return values


SECTIONS: dict[str, type[Section]] = {
    name: field.annotation
    for name, field in Settings.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
}


def load(path: Path | None, environment: Mapping[str, str], overrides: tuple[str, ...] = ()) -> Settings:
    """Settings from a file, the environment and `section.key=value` words, checked as a whole.

    Without a path everything not overridden has its default. Raises `UsageError` naming the file,
    the key, the value and what was expected; all problems are reported together.
    """
    values = _read_file(path) if path else {}
    origin = str(path) if path else "the settings"
    _check_names(values, origin)
    given: dict[str, str] = {}
    for source, section, key, text in [*_from_environment(environment), *map(_from_flag, overrides)]:
        values.setdefault(section, {})[key] = _literal(text, section, key)
        given[f"{section}.{key}"] = source
    try:
        return Settings(root=path.resolve().parent if path else Path.cwd(), **values)
    except ValidationError as error:
        raise UsageError("\n".join(_explain(error.errors(), given, origin))) from None


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise UsageError(f"{path}: there is no such file. Name the configuration with --config FILE.") from None
    except IsADirectoryError:
        raise UsageError(f"{path}: this is a folder; --config needs a file such as {path}/config.toml.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not valid TOML: {error}.") from None


def _check_names(values: dict[str, Any], origin: str) -> None:
    problems = []
    for section, content in values.items():
        if section not in SECTIONS:
            problems.append(f"unknown section [{section}]{_nearest(section, SECTIONS)}")
        elif not isinstance(content, dict):
            problems.append(f"[{section}] must be a section with keys, found {shown_source(repr(content))}")
        else:
            known = SECTIONS[section].model_fields
            problems += [f"unknown key {section}.{key}{_nearest(key, known)}" for key in content if key not in known]
    if problems:
        raise UsageError(f"{origin}: " + "\n".join(problems))


def _nearest(name: str, known: Any) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else f"; known are: {', '.join(known)}."


def _from_environment(environment: Mapping[str, str]) -> list[tuple[str, str, str, str]]:
    """The variables that name a section and a key; an unknown key in a known section is an error."""
    found = []
    for name, text in environment.items():
        if not name.startswith(ENVIRONMENT_PREFIX):
            continue
        section, _, key = name.removeprefix(ENVIRONMENT_PREFIX).lower().partition("_")
        if section in SECTIONS and key:
            if key not in SECTIONS[section].model_fields:
                raise UsageError(f"{name}: unknown key {section}.{key}{_nearest(key, SECTIONS[section].model_fields)}")
            found.append((name, section, key, text))
    return found


def _from_flag(text: str) -> tuple[str, str, str, str]:
    name, equals, value = text.partition("=")
    section, dot, key = name.strip().partition(".")
    if not (equals and dot):
        raise UsageError(f"--set {shown_source(text)}: expected section.key=value, such as --set drift.alpha=0.01.")
    _check_names({section: {key: value}}, f"--set {text}")
    return f"--set {name.strip()}", section, key, value


def _literal(text: str, section: str, key: str) -> Any:
    """Words become JSON or TOML values where they can: 0.01, true, ["a"], {a = "b"}.

    Keys that hold text keep them as they are, and a list of names may be written as `a,b`.
    """
    annotation = SECTIONS[section].model_fields[key].annotation
    if annotation is str:
        return text
    if get_origin(annotation) is tuple and get_args(annotation)[0] is not DriftRule and text.strip()[:1] != "[":
        return [word.strip() for word in text.split(",")]
    with suppress(json.JSONDecodeError):
        return json.loads(text)
    with suppress(tomllib.TOMLDecodeError):
        return tomllib.loads(f"value = {text}")["value"]
    return text


# What pydantic calls by the names of Python's types, in the words of the file.
SHAPES = {
    "tuple_type": 'must be a list, such as ["a", "b"]',
    "list_type": 'must be a list, such as ["a", "b"]',
    "dict_type": 'must be names with values, such as {a = "b"}',
    "model_type": 'must be names with values, such as {a = "b"}',
    "extra_forbidden": "is no known key",
}
ALTERNATIVE = re.compile(r"(constrained-)?(float|int|str)|literal\[.*\]")  # of a key that takes this or that


def _explain(problems: Sequence[Any], given: Mapping[str, str], origin: str) -> list[str]:
    """One line for each wrong value: where it came from, its key, what is wrong, and the value."""
    lines: dict[str, list[str]] = {}
    found: dict[str, str] = {}
    for problem in problems:
        where = ".".join(str(part) for part in problem["loc"] if not ALTERNATIVE.fullmatch(str(part)))
        message = problem["msg"].removeprefix("Value error, ").replace("Input should be", "must be", 1)
        message = SHAPES.get(problem["type"], message)
        value = problem.get("input")
        lines.setdefault(where, []).append(message)
        if not isinstance(value, dict | BaseModel) and "found" not in message:
            found[where] = f" (found {shown_source(json.dumps(value, ensure_ascii=False, default=str))})"
    return [
        f"{_source_of(where, given, origin)}: {where}: {', or '.join(messages)}{found.get(where, '')}"
        for where, messages in lines.items()
    ]


def _source_of(where: str, given: Mapping[str, str], origin: str) -> str:
    """The flag or variable that gave a value, or the file; for a section all that had a hand in it."""
    key = ".".join(where.split(".")[:2])
    if key in given:
        return given[key]
    return ", ".join([origin, *(source for name, source in given.items() if name.startswith(f"{key}."))])
