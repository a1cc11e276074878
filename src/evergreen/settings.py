"""Everything a user can set, with defaults and limits.

`config.toml` says for each key why its default is what it is; `config_file` reads it.
"""

import hashlib
import json
import math
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator

from evergreen.masking import shown_source

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
    strict: bool = False
    allow_extra_columns: bool = True

    @model_validator(mode="after")
    def one_or_two_tables(self) -> "DataSettings":
        if self.source and (self.reference or self.current):
            raise ValueError("set either 'source' (one growing table) or 'reference' and 'current', not both")
        if bool(self.reference) != bool(self.current):
            raise ValueError("'reference' and 'current' go together: set both or neither")
        return self

    @property
    def sources(self) -> tuple[str, ...]:
        """All that rows are read from."""
        return tuple(filter(None, (self.source, self.reference, self.current)))


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
    season: Literal["", "hour", "weekday", "month"] = ""
    min_chunks: Annotated[int, Field(ge=3)] = 8
    min_correlation: Share = 0.20
    deep: bool = False
    min_auc: Annotated[float, Field(ge=0.5, le=1)] = 0.55
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
    labels_per_false_alarm: Annotated[float, Field(gt=1)] = 100_000.0
    leak_tolerance: Share = 0.01
    estimate: Literal["auto", "off"] = "auto"


class PolicySettings(Section):
    """When to retrain, and what may hold a retraining back."""

    mode: Literal["advise", "approve", "auto"] = "auto"
    preset: Literal["hybrid", "cost", "naive", "schedule", "volume", "drift", "performance"] = "hybrid"
    max_age_days: Annotated[float, Field(gt=0)] = 30.0
    volume: Count = 0
    drift_severity: Literal["minor", "moderate", "major"] = "minor"
    reasons_needed: Positive = 1
    in_a_row: Positive = 1
    cool_down: Count = 1
    max_retrains: Positive | Literal["auto"] = "auto"
    budget_runs: Positive = 30
    min_new_rows: Count | Literal["auto"] = "auto"
    min_new_share: Share = 0.10
    max_backoff: Positive = 16
    retrain_cost: Annotated[float, Field(gt=0)] = 20.0
    shadow_every: Count = 10

    @property
    def retraining_budget(self) -> float:
        """Retrainings in `budget_runs` runs. By cost the price is the budget: each must have been earned before."""
        if self.max_retrains == "auto":
            return math.inf if self.preset == "cost" else 8
        return self.max_retrains

    @property
    def rows_worth_while(self) -> int:
        """New labelled rows that make a retraining worth while; by cost the excess of errors tells that better."""
        if self.min_new_rows == "auto":
            return 0 if self.preset == "cost" else 1000
        return self.min_new_rows

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
    learn_holdout: Literal["auto", "on", "off"] = "auto"
    timeout: Duration = timedelta(hours=1)
    memory_gb: Annotated[float, Field(gt=0)] | Literal["off"] = "off"
    seed: Count = 0


class PromotionSettings(Section):
    """What a challenger has to show before it goes live."""

    gate: Literal["auto", "superior", "non_inferior", "not_worse", "tutorial"] = "auto"
    min_improvement: Annotated[float, Field(ge=0)] = 0.01
    alpha: Probability = 0.05
    min_rows: Positive = 200
    slices: tuple[str, ...] = ("auto",)
    min_slice_rows: Positive = 100
    max_slice_loss: Annotated[float, Field(gt=0)] = 0.02
    max_latency_ms: Annotated[float, Field(gt=0)] = 250.0
    max_size_mb: Annotated[float, Field(gt=0)] = 500.0


DECIDING = ("data", "drift", "performance", "policy", "training", "promotion")
# After a trigger by cost, what is not surely worse is the better bet: it has yet to learn the newest rows.
PRESET_GATES = {"cost": "not_worse", "naive": "tutorial"}


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

    @model_validator(mode="after")
    def seasons_need_a_time(self) -> "Settings":
        if self.drift.season and not self.data.time:
            raise ValueError(f"drift.season = '{self.drift.season}' needs data.time, the column that says when")
        return self

    @property
    def promotion_rules(self) -> PromotionSettings:
        """The rules of promotion with the gate that "auto" means under the preset of the policy."""
        if self.promotion.gate != "auto":
            return self.promotion
        return self.promotion.model_copy(update={"gate": PRESET_GATES.get(self.policy.preset, "superior")})

    @property
    def deciding_digest(self) -> str:
        """Identity of the settings that a run's verdicts, decisions and models rest on, 16 hexadecimal digits."""
        deciding = {name: values for name, values in self.as_dict().items() if name in DECIDING}
        return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def learns_holdout(self) -> bool:
        """Whether a challenger that won learns the rows it was judged on before it goes live."""
        if self.training.learn_holdout == "auto":
            return self.policy.preset == "cost"
        return self.training.learn_holdout == "on"

    def path(self, name: str) -> Path:
        """A path from the configuration, relative to the file it stands in."""
        return (self.root / name).resolve()

    def as_dict(self) -> dict[str, Any]:
        """The values really used, as plain JSON types, for the record of a run; passwords are left out."""
        values = self.model_dump(mode="json")
        values["data"] |= {key: shown_source(values["data"][key]) for key in ("source", "reference", "current")}
        return values
