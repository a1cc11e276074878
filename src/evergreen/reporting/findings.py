"""What was found beyond single columns, as lines: seasons, relations, leaks, groups that do badly, estimates, costs.

Each line is (a word to grep for, a sentence); text and Markdown show the same ones.
"""

from collections.abc import Iterable

from evergreen.reporting import figures, words
from evergreen.reporting.documents import plain
from evergreen.reporting.words import Document

Line = tuple[str, str]
MAX_PAIRS = 5
EXCESS = {  # by unit
    "wrong decisions": "{} wrong decisions more",
    "errors of the best constant": "{} errors (each as large as without a model) more",
    "cost": "a cost higher by {}",
}


def lines_about_data(drift: Document) -> Iterable[Line]:
    """The season that rows were compared within, the relations between columns, and what a classifier told apart."""
    if season := drift.get("season"):
        left_out = season.get("rows_left_out") or 0
        missing = (
            f"; {figures.counted(left_out, 'row')} left out, which the reference has no like of" if left_out else ""
        )
        yield "season", f"rows are compared with those of the same {season['by']}{missing}"
    joint = drift.get("joint") or {}
    yield from (("relation", relation(pair)) for pair in (joint.get("pairs") or [])[:MAX_PAIRS])
    if deep := joint.get("deep"):
        yield "deep", classifier(deep)


def relation(pair: Document) -> str:
    """A pair of columns and how their correlation moved.

    >>> relation({"columns": ["age", "income"], "reference": 0.412, "current": -0.05, "p_adjusted": 1e-9,
    ...     "status": "drift"})
    'drift: age and income, correlation 0.41 before, -0.05 now, p < 0.0001'
    """
    one, other = (plain(name, 40) for name in pair["columns"])
    p_value = figures.p_value(pair.get("p_adjusted"))
    chance = f"p {p_value}" if p_value.startswith("<") else f"p = {p_value}"
    return (
        f"{words.status(pair)}: {one} and {other}, correlation {pair['reference']:.2f} before, "
        f"{pair['current']:.2f} now, {chance}"
    )


def classifier(deep: Document) -> str:
    """How well a classifier tells old rows from new, and by what."""
    names = figures.listed([plain(column["name"], 40) for column in (deep.get("columns") or [])[:3]])
    by = f", mostly by {names}" if names and deep.get("verdict") == "drift" else ""
    auc = deep.get("auc")
    told = "" if auc is None else f"a classifier tells old rows from new with AUC {auc:.3f} (0.5 is chance){by}: "
    return f"{told}{words.STATUS_WORDS.get(str(deep.get('verdict')), str(deep.get('verdict')))}"


def lines_about_performance(drift: Document) -> Iterable[Line]:
    """The groups of rows that do worse than the rest, the re-weighted score, and the estimate without labels."""
    performance = drift.get("performance") or {}
    for piece in performance.get("slices") or []:
        yield "slice", worse_slice(piece, str(performance.get("metric")))
    if weighed := performance.get("reweighted"):
        ends = figures.interval(weighed.get("interval"))
        yield "reweighted", f"as if all rows had their labels: {figures.score(weighed['value'])} ({ends}); not judged"
    if estimate := drift.get("estimate"):
        yield from (("estimate", reason) for reason in estimate.get("reasons") or [])


def worse_slice(piece: Document, metric: str) -> str:
    """A group of rows on which the model does surely worse than on the rest.

    >>> worse_slice({"column": "plan", "value": "free", "rows": 420, "score": 0.61, "rest": 0.83}, "accuracy")
    'plan = free (420 rows): accuracy 0.610, elsewhere 0.830'
    """
    shown = f"{words.metric(metric)} {figures.score(piece['score'])}, elsewhere {figures.score(piece['rest'])}"
    return f"{words.slice_name(piece)}: {shown}"


def lines_about_cost(shown: Document) -> Iterable[Line]:
    """How much the errors have cost beyond what they should, and the challenger in shadow: preset "cost"."""
    if excess := shown.get("excess"):
        since = f" since {figures.moment(excess['since'])}" if excess.get("since") is not None else ""
        lost = EXCESS[excess.get("unit") or "wrong decisions"].format(figures.number(excess["total"], 3))
        yield (
            "excess",
            f"{lost} than with a fresh model{since}; a retraining is worth {figures.number(excess['limit'], 3)}",
        )
    if shadow := shown.get("shadow"):
        yield from (("shadow", reason) for reason in shadow.get("reasons") or [])


def moved(column: Document) -> list[str]:
    """What moved in a column, in a few words each: its middle and ends, labels gained and lost.

    >>> moved({"moved": {"quantiles": [{"share": 0.5, "reference": 30.0, "current": 41.0}], "gained": [], "lost": []}})
    ['median 30 → 41']
    """
    found = column.get("moved") or {}
    said = []
    for piece in sorted(found.get("quantiles") or [], key=lambda one: one["share"] != 0.5):  # the median first
        name = "median" if piece["share"] == 0.5 else f"{100 * piece['share']:g}% below"
        if piece["reference"] is not None and piece["reference"] != piece["current"]:
            said.append(f"{name} {figures.number(piece['reference'], 4)} → {figures.number(piece['current'], 4)}")
    labels = [(name, label) for name in ("gained", "lost") for label in found.get(name) or []]
    for name, label in sorted(labels, key=lambda one: -abs(one[1]["current"] - one[1]["reference"]))[:4]:
        shares = f"{figures.percent(label['reference'])} → {figures.percent(label['current'])}"
        said.append(f"{name} {plain(str(label['label']), 30)} {shares}")
    return said
