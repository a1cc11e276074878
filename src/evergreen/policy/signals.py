"""What the policy is told: of this run, and of the runs before it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from evergreen.drift.excess import Excess, ShadowFinding


@dataclass(frozen=True)
class Signals:
    """What one run saw of the world and of the live model.

    Attributes:
        drift, predictions, relations: verdicts on the features, on the model's answers, on the columns together.
        severity: of data drift, "minor", "moderate" or "major": by the share of the model's importance that drifted.
        performance: verdict on labelled rows; None without labels. `performance_reason` says it in words.
        age_days: of the live model.
        new_rows, new_labelled_rows: since the live model's last row; `trained_rows` it has learned from.
        news: false when table and settings are as they were at the end of the last run.
        blocking: one sentence per thing that forbids training.
        excess: of errors beyond those of a fresh model; None without labels, or where the model's card can't tell.
        shadow: of the challenger that is watched; None when there is none.
        estimate: verdict on the performance estimated without labels; None when nothing was estimated.
        leak: whether errors grow slowly; an alarm, and no reason to retrain by itself.
        label_lag_runs: runs with new rows that are still without complete labels; None when no labels are coming.
        bare: what the bare rules of tutorials say, a sentence each (`evergreen.drift.bare_rules`).
    """

    drift: str
    severity: str
    drifted_columns: tuple[str, ...]
    predictions: str
    performance: str | None
    performance_reason: str
    age_days: float
    new_rows: int
    new_labelled_rows: int
    trained_rows: int
    news: bool = True
    blocking: tuple[str, ...] = ()
    relations: str = "not_enough_evidence"
    excess: Excess | None = None
    shadow: ShadowFinding | None = None
    estimate: str | None = None
    estimate_reason: str = ""
    leak: bool = False
    label_lag_runs: int | None = 0
    bare: tuple[str, ...] = ()


@dataclass(frozen=True)
class PastRun:
    """What is remembered of one earlier run.

    `gained` tells of a deployed challenger whether it did better than the replaced model in the window after, and is
    false when it was taken back; None: not known.
    `undecided`: the rows could not tell whether the challenger is better; the price of a retraining stays as it was,
    while cool-down and mute take it as one without gain. `taken_back`: a rollback, of which the deploy is remembered
    as in vain already.
    """

    wanted: bool
    retrained: bool
    deployed: bool
    gained: bool | None = None
    undecided: bool = False
    taken_back: bool = False

    @property
    def brought_gain(self) -> bool | None:
        """Whether a retraining paid; None for a run without one, and while it isn't known."""
        if not self.retrained or self.undecided or self.taken_back:
            return None
        return self.gained if self.deployed else False


def read_past(runs: Sequence[Mapping[str, Any]]) -> tuple[PastRun, ...]:
    """Earlier runs from their journal entries, oldest first; those that found nothing new don't count.

    A challenger that won and waits for a person counts as deployed: it did bring a gain. The first look at the model
    before the live one (`gained` of a later run) tells whether the deploy paid, a rollback that it did not: that is one
    retraining in vain, not two. A rollback whose deploy is not known stands for it.
    """
    past: list[PastRun] = []
    live: int | None = None
    waiting = False  # a challenger; it may have gone live by hand, and then it is not our deploy that goes back
    for run in runs:
        back = live is not None and not waiting and bool(run.get("rolled_back"))
        if live is not None and (back or (past[live].gained is None and not run.get("rolled_back"))):
            past[live] = replace(past[live], gained=False if back else run.get("gained"))
        if not (run.get("news") or run.get("retrained") or run.get("rolled_back")):
            continue
        past.append(replace(_read_run(run), taken_back=back))
        waiting |= run.get("outcome") == "staged"
        if run.get("deployed") and run.get("retrained"):
            live, waiting = len(past) - 1, False
        elif back:
            live = None
    return tuple(past)


def _read_run(run: Mapping[str, Any]) -> PastRun:
    return PastRun(
        wanted=bool(run.get("wanted")),
        retrained=bool(run.get("retrained") or run.get("rolled_back")),
        deployed=(bool(run.get("deployed")) or run.get("outcome") == "staged") and not run.get("rolled_back"),
        undecided=bool(run.get("undecided")),
    )
