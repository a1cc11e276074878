"""Numbers, times and lists as people write them. All are functions of one value; None is a dash."""

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from evergreen.wording import counted as counted  # noqa: PLC0414 - one of the figures that templates ask for

METRIC_WORDS = {
    **{"roc_auc": "ROC AUC", "pr_auc": "PR AUC", "f1": "F1", "mae": "MAE", "rmse": "RMSE", "r2": "R²"},
    **{"mape": "MAPE", "brier": "Brier score", "pinball": "pinball loss"},
}


def number(value: float | None, digits: int = 3) -> str:
    """A number to three digits, with thousands separated; a dash when there is none.

    >>> number(0.78123), number(20000), number(1234567.8), number(None)
    ('0.781', '20,000', '1,234,568', '–')
    """
    if value is None:
        return "–"
    if isinstance(value, int) or (value == round(value) and abs(value) < 1e15):
        return f"{value:,.0f}"
    if abs(value) >= 1000:
        return f"{value:,.0f}" if abs(value) < 1e9 else f"{value:.2e}"
    if abs(value) < 0.0005:
        return f"{value:.1e}"
    return f"{value:.{digits}f}" if abs(value) < 10 else f"{value:.{digits}g}"


def score(value: float | None) -> str:
    """A score or an effect: always three decimals below ten, so that numbers line up.

    >>> score(0.8), score(12.345)
    ('0.800', '12.3')
    """
    if value is None:
        return "–"
    return f"{value:.3f}" if abs(value) < 10 else number(float(value))


def signed(value: float | None) -> str:
    """A difference with its sign.

    >>> signed(0.0432), signed(-0.01)
    ('+0.043', '-0.010')
    """
    if value is None:
        return "–"
    return ("-" if value < 0 else "+") + score(abs(value))


def signed_percent(value: float | None) -> str:
    """A difference as a share, with its sign.

    >>> signed_percent(0.5432), signed_percent(-1.65)
    ('+54.3%', '-165.0%')
    """
    return "–" if value is None else f"{100 * value:+,.1f}%"


def percent(value: float | None) -> str:
    """A share in percent.

    >>> percent(0.412), percent(0.0042), percent(0.00001), percent(None)
    ('41%', '0.4%', '< 0.1%', '–')
    """
    if value is None:
        return "–"
    if 0 < value < 0.001:
        return "< 0.1%"
    return f"{100 * value:.1f}%" if 0 < value < 0.1 else f"{100 * value:.0f}%"


def p_value(value: float | None) -> str:
    """A p-value; the very small ones only as a bound.

    >>> p_value(0.0312), p_value(1e-9)
    ('0.031', '< 0.0001')
    """
    if value is None:
        return "–"
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}" if value < 0.01 else f"{value:.3f}"


def interval(pair: Sequence[float | None] | None, show: Any = score) -> str:
    """Both ends of an interval.

    >>> interval([0.769, 0.793])
    '0.769 to 0.793'
    """
    if not pair or pair[0] is None or pair[1] is None:
        return "–"
    return f"{show(pair[0])} to {show(pair[1])}"


def duration(seconds: float | None) -> str:
    """A length of time for people.

    >>> duration(3.14), duration(135), duration(7300)
    ('3.1 s', '2 min 15 s', '2 h 1 min')
    """
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def moment(value: str | int | None) -> str:
    """A time for people; a row number, or a text that is no time, as it is.

    >>> moment("2026-11-21T20:09:39+00:00"), moment("2026-11-21"), moment(4000)
    ('21 Nov 2026, 20:09', '21 Nov 2026', 'row 4,000')
    """
    if value is None or value == "":
        return "–"
    if isinstance(value, int | float):
        return f"row {value:,.0f}"
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        return value
    day = f"{time.day} {time:%b %Y}"
    return day if len(value) <= 10 or f"{time:%H%M%S}" == "000000" else f"{day}, {time:%H:%M}"


def day(value: str | int | None) -> str:
    """Only the day of a time.

    >>> day("2026-11-21T20:09:39Z")
    '21 Nov 2026'
    """
    return moment(value).partition(",")[0]


def axis(value: float, span: float) -> str:
    """An end of an axis, as exact as a few thousandths of the axis: enough to know where one is.

    >>> axis(0.0005688, 0.999), axis(-18.257, 40.0), axis(1234567.0, 2e6), axis(0.00123, 0.0004)
    ('0.001', '-18.3', '1,230,000', '0.00123')
    """
    digits = 2 - math.floor(math.log10(span)) if span > 0 else 6
    rounded = round(value, digits) + 0.0  # no minus before a zero
    return f"{rounded:,.0f}" if 1000 <= abs(rounded) < 1e9 else f"{rounded:.6g}"


def stretch(start: str | int | None, stop: str | int | None) -> str:
    """From when to when; open ends are said, and empty when neither is known.

    >>> stretch("2026-11-01", "2026-11-21"), stretch("2026-11-01", None), stretch(None, None)
    ('1 Nov 2026 to 21 Nov 2026', 'from 1 Nov 2026', '')
    """
    if start is None and stop is None:
        return ""
    if start is None or stop is None:
        return f"until {moment(stop)}" if start is None else f"from {moment(start)}"
    return moment(start) if start == stop else f"{moment(start)} to {moment(stop)}"


def estimator(path: str | None) -> str:
    """An estimator by its own name.

    >>> estimator("sklearn.ensemble.RandomForestClassifier"), estimator("house:make_model")
    ('RandomForestClassifier', 'house:make_model')
    """
    return (path or "").rpartition(".")[2]


def listed(names: Sequence[str], most: int = 3) -> str:
    """Names in a sentence, the rest as a count; a single one left over is named too.

    >>> listed(["a", "b", "c", "d", "e"]), listed(["a", "b", "c", "d"]), listed(["a", "b"])
    ('a, b, c and 2 more', 'a, b, c and d', 'a and b')
    """
    if len(names) > most + 1:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def short(digest: str | None) -> str:
    """The first twelve digits of a digest: enough to find it."""
    return digest[:12] if digest else "–"


def capital(text: str) -> str:
    """The text with a capital first letter, the rest left alone; a metric at its beginning as people write it.

    >>> capital("pinball loss"), capital("F1"), capital("mae of the challenger")
    ('Pinball loss', 'F1', 'MAE of the challenger')
    """
    first = text.partition(" ")[0]
    written = METRIC_WORDS.get(first, "")
    if written and not text.startswith(written):
        text = written + text.removeprefix(first)
    return text[:1].upper() + text[1:]
