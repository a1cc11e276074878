"""What the live model's decisions have cost since it learned, against what those of a fresh model would.

Nothing is kept between runs but the journal: the excess is worked out anew, in each run, from the labelled rows since
the live model's last one. A window is what came between two runs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evergreen.data.batches import Batch
from evergreen.data.windows import key_from_json, key_to_json, to_key
from evergreen.drift.excess import REMEMBERED, Excess, accumulate_excess, reference_loss
from evergreen.registry.cards import Card, card_path, read_card
from evergreen.registry.journal import GOES_LIVE, Entry
from evergreen.registry.store import Store
from evergreen.scoring.metrics import sample_rows
from evergreen.scoring.predictions import Predictions
from evergreen.scoring.row_costs import DecisionCost, plain_costs
from evergreen.settings import Settings

UNITS = {"wrong": "wrong decisions", "error": "errors of the best constant", "cost": "cost"}
KEPT_AS = {"wrong": "accuracy", "cost": "cost"}  # how cards that don't tell the cost of a decision tell it after all


@dataclass(frozen=True)
class Account:
    """The labelled rows by which the live model was judged, in time order.

    Attributes:
        keys: (n,) their times or row numbers.
        costs: (n,) what each decision cost, in the unit of the model's own baseline.
        kind: of cost (`evergreen.scoring.row_costs`).
    """

    keys: np.ndarray
    costs: np.ndarray
    kind: str

    @property
    def last_key(self) -> str | int | None:
        """Of the newest row, as the journal keeps it."""
        return key_to_json(to_key(self.keys[-1])) if len(self.keys) else None


def open_account(settings: Settings, card: Card, rows: Batch, answers: Predictions) -> Account | None:
    """The account of a model over labelled rows that it has answered; None where there are none, or no measure.

    A model for numbers whose card was written by an older version has no measure: which error counts as 1 is not known.
    """
    if not len(rows):
        return None
    sample = sample_rows(rows.labels, answers, card.positive or None)
    kind, costs = plain_costs(sample, settings.performance, settings.root)
    base = baseline_of(card, kind)
    return Account(rows.keys, costs / base.unit, kind) if base else None


def baseline_of(card: Card, kind: str) -> DecisionCost | None:
    """What a decision cost on the rows the model was admitted on; None when its card does not tell."""
    known = card.decision_cost
    if known is not None and known["kind"] == kind:
        return DecisionCost(**known)
    score = card.baseline.get(KEPT_AS.get(kind, ""))
    if score is None or score["value"] is None:
        return None
    mean = 1 - score["value"] if kind == "wrong" else score["value"]
    return DecisionCost(kind, mean, score.get("standard_error") or 0.0, score["rows"])


def find_excess(store: Store, card: Card, account: Account, *, replaced: bool = False) -> Excess | None:
    """The excess of errors by now; rows that an earlier challenger was tried for don't count again.

    `replaced` tells that the table is another one each time, so that rows of earlier runs are not in it.
    """
    own = baseline_of(card, account.kind)
    if own is None:
        return None
    entries = store.entries()
    runs, last = ([], None) if replaced else (runs_since_live(entries), counted_from(entries))
    begin = window_ends(account.keys, [{"judged_until": last}])[0] if last is not None else 0
    ends = window_ends(account.keys[begin:], runs)
    loss = reference_loss(own.mean / own.unit, _ancestors(store, entries, card, account.kind, own.unit))
    found = accumulate_excess(account.costs[begin:], ends, loss)
    return Excess(found.total, found.standard_error, begin + found.since, found.rows, found.reference_loss)


def excess_document(excess: Excess, account: Account, limit: float | None, backoff: int) -> dict[str, Any]:
    """The part of a run's document that tells of it; `since` is a time or row number."""
    since = key_to_json(to_key(account.keys[excess.since])) if excess.rows else None
    return {
        "total": excess.total,
        "unit": UNITS[account.kind],
        "standard_error": excess.standard_error,
        "limit": limit,
        "reference_loss": excess.reference_loss,
        "rows": excess.rows,
        "since": since,
        "backoff": backoff,
    }


def runs_since_live(entries: Sequence[Entry]) -> list[Mapping[str, Any]]:
    """The runs since the live model went live, oldest first; the one that made it live among them."""
    places = [place for place, entry in enumerate(entries) if entry.event in GOES_LIVE]
    return [entry.content for entry in entries[places[-1] if places else 0 :] if entry.event == "run"]


def counted_from(entries: Sequence[Entry]) -> str | int | None:
    """The last row that counts no more: a challenger was tried for it, or the live model came back after it."""
    came_back = False
    for entry in reversed(entries):
        judged = entry.get("judged_until") if entry.event == "run" else None
        if judged is not None and (came_back or entry.get("retrained")):
            return judged
        if entry.event == "deploy" and not came_back:
            return None
        came_back = came_back or entry.event in GOES_LIVE
    return None


def window_ends(keys: np.ndarray, runs: Sequence[Mapping[str, Any]]) -> list[int]:
    """Position after the last row that each of the runs had judged, for rows with these keys.

    0 where a run told it in another way, by time or by row number, than these rows do.
    """
    judged = [run["judged_until"] for run in runs if run.get("judged_until") is not None]
    return [_place_after(keys, key) if isinstance(key, str) == (keys.dtype.kind == "M") else 0 for key in judged]


def _place_after(keys: np.ndarray, key: str | int) -> int:
    return int(np.searchsorted(keys, np.asarray(key_from_json(key), dtype=keys.dtype), "right"))


def _ancestors(store: Store, entries: Sequence[Entry], card: Card, kind: str, unit: float) -> list[float]:
    """Baselines of the models that were live before, oldest first, in the unit of this one's."""
    live = [entry.get("digest") for entry in entries if entry.event in GOES_LIVE]
    before = [digest for digest in dict.fromkeys(reversed(live)) if digest != card.digest][: REMEMBERED - 1]
    known = (
        read_card(store.cards_folder, digest) for digest in before if card_path(store.cards_folder, digest).exists()
    )
    sound = [card for card in known if not card.training.get("baseline_may_be_in_sample")]
    baselines = (baseline_of(each, kind) for each in sound)
    return [base.mean / unit for base in baselines if base is not None][::-1]


def label_lag(runs: Sequence[Mapping[str, Any]], judged_until: str | int | None, newest: Any) -> int:
    """Runs with new rows, this one among them, whose newest rows are still without complete labels.

    Runs of the time before the table got, or lost, its times are passed over: rows of theirs can't be placed.

    >>> runs = [{"news": True, "table": {"newest": newest}} for newest in (10, 20, 30)]
    >>> label_lag(runs, 15, 40)
    3
    """
    seen = [(run.get("table") or {}).get("newest") for run in runs if run.get("news")]
    keys = [key_from_json(key) for key in (*seen, newest) if key is not None and type(key) is type(newest)]
    judged: Any = key_from_json(judged_until) if type(judged_until) is type(newest) else None
    return sum(judged is None or key > judged for key in keys)
