"""Any difference at all between two samples of rows: can a classifier tell new rows from old ones?

It sees what no column and no pair of columns shows (Lopez-Paz & Oquab, ICLR 2017), takes seconds where the
columns take milliseconds, and its probabilities are the ratio of the two densities, which estimates need.

1. Gradient-boosted trees (40 trees of 8 leaves) learn, in three folds, which rows are the current ones.
2. The rows of each fold are judged by the trees that have not seen them: the AUC there is 0.5 where there is
   no difference, with variance (n + m + 1)/(12nm) a fold (Mann & Whitney 1947).
3. From `drift.min_auc` on, the finding is confirmed against 20 fits with shuffled labels, and each column is
   shuffled in turn: those without which the AUC falls are the columns that separate.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from evergreen.data.arrays import from_numbers
from evergreen.data.labels import label_text, spell_label
from evergreen.data.rows import row_digests
from evergreen.data.schema import FEATURE_KINDS
from evergreen.drift.passes import spread_rows
from evergreen.drift.seasons import NONE, season_of
from evergreen.settings import DriftSettings

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.ensemble import HistGradientBoostingClassifier

    from evergreen.data.sources import Table, Window

ROWS = 20_000  # of each side are learned from: an AUC of 0.55 is then 17 standard errors from chance
FOLDS = 3
TREES, LEAVES = 40, 8
NAMED_LABELS = 254  # the trees know at most 255 categories; rarer labels are one
SURE = 1.645  # standard errors above chance: 5 % of clean runs reach them
SHUFFLES = 20  # a finding that beats all of them has p < 1/20
SHUFFLED_ROWS = 2_000  # of each side: 60 fits take seconds, and an AUC of 0.55 is still 5 standard errors from chance
ASKED_ROWS = 2_000  # of each fold, to see what a column contributes
NAMED_COLUMNS = 10
NAMED_SHARE = 0.05  # what a column must add to be named: less is what shuffling does by chance
SMALLEST_SHARE = 1e-3  # probabilities are kept this far from 0 and 1: a ratio above 1000 is no longer measured


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of both sides as the trees see them, reference first.

    Attributes:
        values: shape `(n_rows, n_columns)`, float64; labels as codes, NaN for missing.
        is_current: shape `(n_rows,)`, bool.
        fold: shape `(n_rows,)`: 0, 1 or 2; -1 for rows beyond those that are learned from.
        names, is_label: of the columns.
    """

    values: np.ndarray
    is_current: np.ndarray
    fold: np.ndarray
    names: tuple[str, ...]
    is_label: np.ndarray


@dataclass(frozen=True, eq=False)
class Domain:
    """How well current rows can be told from reference rows, by trees that have not seen the row in question.

    Attributes:
        reference, current: shapes `(n_reference,)` and `(n_current,)`, in the order of the frames: the
            probability in (0, 1) that the row is a current one.
        current_share: of the rows learned from; the probability of a row that says nothing.
        auc: in [0, 1], mean of the folds; 0.5 is chance.
        z: how many standard errors above 0.5.
    """

    reference: np.ndarray
    current: np.ndarray
    current_share: float
    auc: float
    z: float
    rows: Rows = field(repr=False)
    models: tuple["HistGradientBoostingClassifier", ...] = field(repr=False)

    def ratios(self, probabilities: np.ndarray) -> np.ndarray:
        """How many times as frequent such rows are now as before: p/(1 - p), less the odds of the sample sizes."""
        share = np.clip(probabilities, SMALLEST_SHARE, 1 - SMALLEST_SHARE)
        return share / (1 - share) * (1 - self.current_share) / self.current_share


def fit_domain_classifier(reference: "pd.DataFrame", current: "pd.DataFrame", seed: int) -> Domain:
    """Learn to tell the rows of two frames apart, by the columns that both have; times are left out.

    At most 20,000 rows of each side, evenly spaced, are learned from; all get a probability. The answer does not
    depend on the order of the columns, nor, up to so many rows, on that of the rows.

    Raises `ValueError` when a side has fewer than three rows, or the frames have no column in common.

    >>> import pandas as pd
    >>> before, after = (pd.DataFrame({"a": np.linspace(low, low + 1, 300)}) for low in (0.0, 0.5))
    >>> domain = fit_domain_classifier(before, after, seed=0)
    >>> domain.auc > 0.8, domain.reference.shape, bool(domain.ratios(domain.current).mean() > 2)
    (True, (300,), True)
    """
    rows = _gather(reference, current, seed)
    models = tuple(_fit(rows, rows.is_current, fold, seed) for fold in range(FOLDS))
    probabilities = _answer(models, rows)
    aucs, variances = zip(
        *(_judge_fold(probabilities, rows, rows.is_current, fold) for fold in range(FOLDS)), strict=True
    )
    auc = math.fsum(aucs) / FOLDS
    learned = rows.is_current[rows.fold >= 0]
    return Domain(
        probabilities[: len(reference)],
        probabilities[len(reference) :],
        float(learned.mean()),
        auc,
        (auc - 0.5) / (math.sqrt(math.fsum(variances)) / FOLDS),
        rows,
        models,
    )


@dataclass(frozen=True)
class DeepDrift:
    """The classifier's verdict.

    Attributes:
        auc, z: of rows it had not seen; 0.5 and 0 where there is no difference, None where it could not learn.
        limit: the least AUC that is material (`drift.min_auc`).
        rows: of reference and current that it learned from.
        columns: those that separate, strongest first: "name", and "importance" as a share of all they add to the AUC.
    """

    verdict: str
    auc: float | None
    z: float | None
    limit: float
    rows: tuple[int, int]
    columns: tuple[dict[str, Any], ...]
    reasons: tuple[str, ...]


def read_rows(table: "Table", names: Sequence[str], window: "Window | None" = None) -> "pd.DataFrame":
    """Some columns of at most 20,000 rows at equal distances."""
    positions = spread_rows(sum(table.chunk_rows(window)), ROWS)
    columns = {}
    for name in names:
        taken, begin = [], 0
        for array in table.arrays(name, window):
            first, last = np.searchsorted(positions, [begin, begin + len(array)])
            taken.append(array.take(from_numbers(positions[first:last] - begin)))
            begin += len(array)
        columns[name] = pa.chunked_array(taken, taken[0].type if taken else table.types[name])
    return pa.table(columns).unify_dictionaries().to_pandas()


def in_like_seasons(
    reference: "pd.DataFrame", current: "pd.DataFrame", time: str, by: str
) -> tuple["pd.DataFrame", "pd.DataFrame"]:
    """Rows of both such that each season (of the column `time`) has the same share of either.

    Otherwise the mix of seasons alone would tell the rows apart. Which rows are left out does not depend on their
    order; those of a season that only one side has, or without a time, are.
    """
    frames = reference, current
    seasons = [season_of(_utc(frame[time]), by) for frame in frames]
    common = sorted(set(seasons[0][seasons[0] != NONE].tolist()) & set(seasons[1].tolist()))
    rows = [np.array([np.count_nonzero(side == season) for season in common], float) for side in seasons]
    ratio = rows[0].sum() / max(1.0, rows[1].sum())
    most = np.minimum(rows[0], ratio * rows[1])
    kept = [_draw_rows(frames[0], seasons[0], common, most)]
    kept.append(_draw_rows(frames[1], seasons[1], common, most / max(ratio, 1e-12)))
    return reference.iloc[kept[0]], current.iloc[kept[1]]


def _draw_rows(frame: "pd.DataFrame", seasons: np.ndarray, common: Sequence[int], most: np.ndarray) -> np.ndarray:
    """So many rows of each season, the first by their digests."""
    order = np.argsort(row_digests(frame), kind="stable")
    parts = [
        order[seasons[order] == season][: round(count)] for season, count in zip(common, most.tolist(), strict=True)
    ]
    return np.sort(np.concatenate([np.empty(0, np.intp), *parts]))


def _utc(values: "pd.Series[Any]") -> np.ndarray:
    import pandas as pd

    return pd.to_datetime(values, utc=True).dt.tz_localize(None).to_numpy("datetime64[us]")


def compare_rows(
    reference: "pd.DataFrame", current: "pd.DataFrame", kinds: Mapping[str, str], settings: DriftSettings, seed: int
) -> DeepDrift:
    """Whether new rows can be told from old ones, surely and materially, and by which columns.

    Columns are read as what `kinds` says they are, however a file keeps them: a category 1 is the category 1.0, and
    true is 1. Only numbers, categories and booleans are looked at.
    """
    names = [name for name, kind in kinds.items() if kind in FEATURE_KINDS and name in reference and name in current]
    rows = len(reference), len(current)
    if not names or min(rows) < FOLDS:
        lacking = (
            "there is no number, category or boolean in both tables"
            if not names
            else f"there are {rows[0]:,} and {rows[1]:,}, and it takes at least {FOLDS} of each to learn from"
        )
        reason = f"A classifier can't be asked to tell new rows from old ones: {lacking}."
        return DeepDrift("not_enough_evidence", None, None, settings.min_auc, rows, (), (reason,))
    before, after = (_read_as({name: kinds[name] for name in names}, frame) for frame in (reference, current))
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1, user_api="openmp"):  # with so few rows threads would wait for each other
        return _judge_rows(fit_domain_classifier(before, after, seed), settings, seed)


def _read_as(kinds: Mapping[str, str], frame: "pd.DataFrame") -> "pd.DataFrame":
    """The columns of these kinds: numbers as float64, labels in their one spelling."""
    import pandas as pd

    found = {
        name: _numbers(frame[name]) if kind == "number" else label_text(frame[name]) for name, kind in kinds.items()
    }
    return pd.DataFrame(found, index=frame.index)


def _judge_rows(domain: Domain, settings: DriftSettings, seed: int) -> DeepDrift:
    counts = np.bincount(domain.rows.is_current[domain.rows.fold >= 0], minlength=2)
    rows = int(counts[0]), int(counts[1])
    columns: tuple[dict[str, Any], ...] = ()
    verdict = "no_drift" if min(rows) >= settings.min_rows else "not_enough_evidence"
    if verdict == "no_drift" and domain.auc >= settings.min_auc and domain.z > SURE and is_confirmed(domain, seed):
        verdict, columns = "drift", find_separating(domain, seed)
    reason = _explain(domain, verdict, [column["name"] for column in columns], settings)
    return DeepDrift(verdict, domain.auc, domain.z, settings.min_auc, rows, columns, (reason,))


def _explain(domain: Domain, verdict: str, names: list[str], settings: DriftSettings) -> str:
    found = f"AUC {domain.auc:.3f}, {max(0.0, domain.z):.1f} standard errors above chance (limit {settings.min_auc:g})"
    if verdict == "drift":
        by = f", by {', '.join(names[:5])}" if names else ""
        return f"A classifier tells new rows from old ones{by}: {found}."
    if verdict == "not_enough_evidence":
        return f"Fewer than {settings.min_rows} rows to tell new ones from old ones by (drift.min_rows): {found}."
    return f"A classifier can't tell new rows from old ones: {found}."


def is_confirmed(domain: Domain, seed: int) -> bool:
    """Whether the AUC is larger than each of 20 that the same procedure reaches on shuffled labels."""
    random = np.random.default_rng(seed)
    rows = _fewer(domain.rows, SHUFFLED_ROWS, random)
    found = _cross_validate(rows, rows.is_current, seed)
    shuffled = (_cross_validate(rows, random.permutation(rows.is_current), seed) for _ in range(SHUFFLES))
    return all(auc < found for auc in shuffled)


def _fewer(rows: Rows, most: int, random: np.random.Generator) -> Rows:
    """At most so many rows of each side, of those that are learned from."""
    sides = [np.flatnonzero((rows.fold >= 0) & (rows.is_current == side)) for side in (False, True)]
    kept = np.concatenate([np.sort(random.permutation(side)[:most]) for side in sides])
    return replace(rows, values=rows.values[kept], is_current=rows.is_current[kept], fold=rows.fold[kept])


def _cross_validate(rows: Rows, is_current: np.ndarray, seed: int) -> float:
    models = tuple(_fit(rows, is_current, fold, seed) for fold in range(FOLDS))
    answers = _answer(models, rows)
    return math.fsum(_judge_fold(answers, rows, is_current, fold)[0] for fold in range(FOLDS)) / FOLDS


def find_separating(domain: Domain, seed: int) -> tuple[dict[str, Any], ...]:
    """The columns whose shuffling lowers the AUC on rows not seen, as shares of all by which it falls."""
    random = np.random.default_rng(seed)
    falls = np.zeros(len(domain.rows.names))
    for fold, model in enumerate(domain.models):
        falls += _falls(domain.rows, model, fold, random)
    shares = np.maximum(falls, 0) / max(float(np.maximum(falls, 0).sum()), 1e-12)
    order = np.argsort(-shares, kind="stable")[:NAMED_COLUMNS].tolist()
    return tuple(
        {"name": domain.rows.names[place], "importance": float(shares[place])}
        for place in order
        if shares[place] >= NAMED_SHARE
    )


def _falls(rows: Rows, model: "HistGradientBoostingClassifier", fold: int, random: np.random.Generator) -> np.ndarray:
    """By how much the AUC of a fold falls when a column is shuffled, shape `(n_columns,)`."""
    inside = np.flatnonzero(rows.fold == fold)
    inside = np.sort(random.permutation(inside)[:ASKED_ROWS])
    values, truth = rows.values[inside], rows.is_current[inside]
    whole = rank_auc(model.predict_proba(values)[:, 1], truth)
    falls = []
    for place in range(values.shape[1]):
        kept = values[:, place].copy()
        values[:, place] = random.permutation(kept)
        falls.append(whole - rank_auc(model.predict_proba(values)[:, 1], truth))
        values[:, place] = kept
    return np.array(falls)


def _gather(reference: "pd.DataFrame", current: "pd.DataFrame", seed: int) -> Rows:
    import pandas as pd

    if min(len(reference), len(current)) < FOLDS:
        raise ValueError(f"telling rows apart takes at least {FOLDS} rows of each side")
    names = [name for name in sorted(set(reference.columns) & set(current.columns)) if not _is_time(reference[name])]
    if not names:
        raise ValueError("the two frames have no column in common that can be learned from")
    columns = [pd.concat([reference[name], current[name]], ignore_index=True) for name in names]
    is_label = np.array([not pd.api.types.is_numeric_dtype(column.dtype) for column in columns])
    values = np.column_stack([_codes(c) if label else _numbers(c) for c, label in zip(columns, is_label, strict=True)])
    random = np.random.default_rng(seed)
    folds = [_draw_folds(frame[names], random) for frame in (reference, current)]
    is_current = np.repeat([False, True], [len(reference), len(current)])
    return Rows(values, is_current, np.concatenate(folds), tuple(names), is_label)


def _is_time(values: "pd.Series[Any]") -> bool:
    return values.dtype.kind in "Mm" or hasattr(values.dtype, "tz")


def _numbers(values: "pd.Series[Any]") -> np.ndarray:
    numbers = values.to_numpy(np.float64, na_value=np.nan, copy=True)
    numbers[~np.isfinite(numbers)] = np.nan
    return numbers


def _codes(values: "pd.Series[Any]") -> np.ndarray:
    """Labels as numbers, the most frequent first; labels beyond the 254th share one."""
    words = values.map(spell_label, na_action="ignore").astype(object)
    counts = words.value_counts()
    ranked = sorted(counts.index, key=lambda word: (-counts[word], word))
    code = {word: float(min(rank, NAMED_LABELS)) for rank, word in enumerate(ranked)}
    return words.map(code).to_numpy(np.float64, na_value=np.nan)


def _draw_folds(frame: "pd.DataFrame", random: np.random.Generator) -> np.ndarray:
    """A fold per row, drawn for the rows in the order of their content: the order in the file makes no difference."""
    taken = np.unique(np.linspace(0, len(frame) - 1, min(len(frame), ROWS)).astype(np.intp))
    order = taken[np.argsort(row_digests(frame)[taken], kind="stable")]
    folds = np.full(len(frame), -1)
    folds[order[random.permutation(len(order))]] = np.arange(len(order)) % FOLDS
    return folds


def _fit(rows: Rows, is_current: np.ndarray, fold: int, seed: int) -> "HistGradientBoostingClassifier":
    """Trees that have not seen the rows of a fold."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    learn = (rows.fold >= 0) & (rows.fold != fold)
    model = HistGradientBoostingClassifier(
        max_iter=TREES,
        max_leaf_nodes=LEAVES,
        early_stopping=False,
        categorical_features=rows.is_label,
        random_state=seed,
    )
    return model.fit(rows.values[learn], is_current[learn])


def _answer(models: tuple["HistGradientBoostingClassifier", ...], rows: Rows) -> np.ndarray:
    """The probability of each row by the trees that have not seen it; their mean where none has."""
    total = np.zeros(len(rows.values))
    for fold, model in enumerate(models):
        asked = (rows.fold == fold) | (rows.fold < 0)
        total[asked] += model.predict_proba(rows.values[asked])[:, 1] / np.where(rows.fold[asked] < 0, FOLDS, 1)
    return total


def _judge_fold(probabilities: np.ndarray, rows: Rows, is_current: np.ndarray, fold: int) -> tuple[float, float]:
    """AUC on the rows of a fold, and its variance where there is no difference."""
    inside = rows.fold == fold
    truth = is_current[inside]
    m, n = int(truth.sum()), int((~truth).sum())
    return rank_auc(probabilities[inside], truth), (n + m + 1) / (12 * n * m)


def rank_auc(scores: np.ndarray, is_hit: np.ndarray) -> float:
    """The chance that a hit has a larger score than a miss, ties counting half, by the mean rank of the hits.

    >>> rank_auc(np.array([0.1, 0.4, 0.4, 0.8]), np.array([False, False, True, True]))
    0.875
    """
    hits, misses = np.sort(scores[is_hit]), np.sort(scores[~is_hit])
    below = np.searchsorted(misses, hits, "left") + np.searchsorted(misses, hits, "right")
    return float(below.sum() / (2 * len(hits) * len(misses)))
