"""Run documents as the commands make them, at realistic size: full, bare, first run, nothing new, failed, wide."""

import math
import random
from itertools import pairwise
from typing import Any

Json = dict[str, Any]

DIGEST = "3f2a91c0" * 8
CHALLENGER = "b71e04dd" * 8
NAMES = [
    *("avg_transaction_value", "num_purchases", "income", "age", "tenure_days", "days_since_last_purchase"),
    *("plan", "region", "sessions_per_week", "support_calls", "discount_share", "basket_size"),
]


def normal_shares(edges: list[float], mean: float, deviation: float) -> list[float]:
    at = [0.5 * (1 + math.erf((edge - mean) / deviation / math.sqrt(2))) for edge in edges]
    shares = [right - left for left, right in pairwise(at)]
    return [share / sum(shares) for share in shares]


def number_shape(shift: float = 0.0, spread: float = 1.0) -> Json:
    edges = [10 + 4 * i for i in range(21)]
    return {
        "kind": "number",
        "edges": edges,
        "reference": normal_shares(edges, 45, 12),
        "current": normal_shares(edges, 45 + 12 * shift, 12 * spread),
    }


def category_shape() -> Json:
    return {
        "kind": "category",
        "labels": ["basic", "plus", "premium", "family", "other"],
        "reference": [0.41, 0.30, 0.17, 0.09, 0.03],
        "current": [0.24, 0.31, 0.29, 0.12, 0.04],
    }


def column(name: str, status: str = "no_drift", **more: Any) -> Json:
    drifted = status == "drift"
    return {
        "name": name,
        "kind": "number",
        "status": status,
        "reason": {"drift": "KS 0.312 is at least 0.100 and significant", "watch": "significant but small"}.get(
            status, ""
        ),
        "statistic": "ks",
        "effect": 0.312 if drifted else 0.021,
        "threshold": 0.1,
        "p_value": 1e-12 if drifted else 0.41,
        "p_adjusted": 1e-11 if drifted else 0.77,
        "missing_reference": 0.021,
        "missing_current": 0.024,
        "equivalent_shift": 0.8 if drifted else 0.05,
        "smallest_shift": 0.11,
        "importance": 0.05,
        "statistics": {"ks": 0.312 if drifted else 0.021, "psi": 0.4 if drifted else 0.01},
        "distribution": number_shape(0.8 if drifted else 0.03),
    } | more


def columns() -> list[Json]:
    order = ["invalid", "drift", "watch", "no_drift", "not_enough_evidence", "skipped"]
    shown = [column(name) for name in NAMES]
    shown[0] |= column(NAMES[0], "drift", importance=0.41, distribution=number_shape(1.0, 1.2))
    shown[1] |= column(NAMES[1], "watch", importance=0.12, effect=0.07, distribution=number_shape(0.2))
    shown[6] |= column("plan", "drift", kind="category", statistic="chi2", distribution=category_shape())
    shown[7] |= column("region", kind="category", distribution=category_shape())
    shown[9] |= column(NAMES[9], "not_enough_evidence", reason="only 62 of 100 values are there", effect=None)
    shown[10] |= column(NAMES[10], "skipped", reason="constant in the reference", distribution=None, effect=None)
    return sorted(shown, key=lambda column: (order.index(column["status"]), -column["importance"]))


def performance() -> Json:
    blocks = [
        {
            "from": f"2026-11-{day:02d}T00:00:00",
            "to": f"2026-11-{day + 1:02d}T00:00:00",
            "rows": 640,
            "value": value,
            "interval": [value - 0.031, value + 0.029],
        }
        for day, value in zip(range(14, 21), [0.842, 0.839, 0.846, 0.801, 0.779, 0.764, 0.758], strict=True)
    ]
    return {
        "metric": "accuracy",
        "higher_is_better": True,
        "baseline": 0.845,
        "current": 0.781,
        "interval": [0.769, 0.793],
        "drop": 0.064,
        "drop_interval": [0.047, 0.081],
        "verdict": "degraded",
        "reasons": ["accuracy fell by 0.064 (at least 0.047), more than max_drop = 0.050"],
        "from_labels": True,
        "labelled_rows": 4512,
        "labels_needed": None,
        "coverage": 0.97,
        "floor": 0.8,
        "blocks": blocks,
        "scores": {
            "accuracy": {"baseline": 0.845, "current": 0.781, "interval": [0.769, 0.793]},
            "balanced_accuracy": {"baseline": 0.812, "current": 0.745, "interval": [0.731, 0.76]},
            "roc_auc": {"baseline": 0.902, "current": 0.851, "interval": [0.838, 0.863]},
            "log_loss": {"baseline": 0.37, "current": 0.49, "interval": [0.47, 0.51]},
        },
    }


def drift() -> Json:
    return {
        "format": 1,
        "verdict": "drift",
        "severity": "moderate",
        "reasons": [
            "2 of 12 columns drifted; they carry 46 % of the model's importance (moderate)",
            "accuracy fell from 0.845 to 0.781 on 4,512 labelled rows, surely by more than 0.047",
        ],
        "retraining_recommended": True,
        "reference": {"rows": 20000, "source": "data/customers.csv", "from": "2026-01-01", "to": "2026-11-13"},
        "current": {"rows": 4652, "source": "data/customers.csv", "from": "2026-11-14", "to": "2026-11-20"},
        "columns": columns(),
        "quality": [
            {
                "column": "region",
                "finding": "unseen_categories",
                "text": "region: 1.4 % of the rows have a value never seen before (north-east)",
                "value": 0.014,
                "limit": 0.01,
                "key": "data.max_unseen",
                "blocking": False,
            }
        ],
        "joint": None,
        "predictions": {"verdict": "drift", "columns": [column("probability of 1", "drift", importance=None)]},
        "target": {"verdict": "no_drift", "columns": [column("churned", kind="category", importance=None)]},
        "performance": performance(),
    }


def gates(failing: str = "") -> list[Json]:
    found = [
        ("loads", None, None, "opens in a fresh process"),
        ("predicts", None, None, "right shape and classes on 20 golden rows"),
        ("latency", 4.1, 250.0, "95 % of single rows within 4.1 ms, limit 250 ms"),
        ("size", 1.2, 500.0, "1.2 MB, limit 500 MB"),
        ("floor", 0.824, 0.61, "accuracy 0.824 is surely above 0.610, the best constant answer"),
    ]
    return [{"name": n, "passed": n != failing, "value": v, "limit": x, "reason": r} for n, v, x, r in found]


def training(failing: str = "", outcome: str = "deployed") -> Json:
    return {
        "digest": CHALLENGER,
        "version": 8,
        "rows": 20140,
        "seconds": 3.1,
        "estimator": "HistGradientBoostingClassifier",
        "params": {"max_iter": 200},
        "window": "last 25 %",
        "from": "2026-08-01T00:00:00",
        "to": "2026-11-16T00:00:00",
        "holdout_rows": 4000,
        "gates": gates(failing),
        "outcome": outcome,
        "reasons": [],
        "candidates": [
            {"window": "all", "rows": 80560, "score": 0.79},
            {"window": "last 25 %", "rows": 20140, "score": 0.82},
        ],
    }


def comparison(winner: str = "challenger") -> Json:
    won = winner == "challenger"
    return {
        "metric": "accuracy",
        "higher_is_better": True,
        "champion": 0.781,
        "challenger": 0.824 if won else 0.783,
        "gain": 0.043 if won else 0.002,
        "interval": [0.031, 0.055] if won else [-0.01, 0.014],
        "p_value": 1e-9 if won else 0.71,
        "winner": winner,
        "forced": None,
        "reasons": [
            "gain 0.043 is at least min_improvement = 0.010 and p < 0.05" if won else "gain 0.002 is below 0.010"
        ],
        "rows": 4000,
        "rows_digest": "ab" * 32,
        "champion_digest": DIGEST,
        "challenger_digest": CHALLENGER,
        "leaked_rows": 3,
        "slices": [
            {"column": "plan", "value": v, "rows": n, "gain": g, "interval": i, "verdict": verdict}
            for v, n, g, i, verdict in [
                ("basic", 1640, 0.052, [0.034, 0.07], "ok"),
                ("premium", 702, 0.021, [-0.008, 0.05], "ok"),
                ("family", 361, -0.012, [-0.05, 0.026], "ok"),
                ("other", 61, None, None, "unknown"),
            ]
        ],
        "scores": {
            "accuracy": {"champion": 0.781, "challenger": 0.824},
            "roc_auc": {"champion": 0.851, "challenger": 0.893},
        },
    }


def history(runs: int = 90) -> Json:
    from evergreen.reporting.history import build_history

    rng = random.Random(7)
    entries = []
    for i in range(runs):
        drifted = i % 17 > 13
        entries.append(
            {
                "run": f"r{i}",
                "time": f"2026-{8 + i // 30:02d}-{i % 30 + 1:02d}T02:00:09+00:00",
                "verdict": None
                if i == 3
                else "not_enough_evidence"
                if i in (4, 30)
                else "drift"
                if drifted
                else "no_drift",
                "retrained": drifted and i % 17 > 14,
                "deployed": i % 17 == 16,
                "rolled_back": i == 55,
                "score": 0.845 - 0.004 * (i % 17) + rng.uniform(-0.01, 0.01),
                "baseline": 0.845,
                "training_seconds": rng.uniform(2.5, 4.0) if drifted and i % 17 > 14 else None,
                "rows": rng.randint(600, 760),
                "failed": i == 41,
            }
        )
    return build_history(entries)


def full() -> Json:
    return {
        "format": 1,
        "run": "20261121T200939Z-1a2b",
        "started": "2026-11-21T20:09:39+00:00",
        "source": "data/customers.csv",
        "drift": drift(),
        "decision": {
            "retrain": True,
            "recommended": True,
            "mode": "auto",
            "reasons": ["data drift of moderate severity", "performance is degraded"],
            "blocked": [],
        },
        "first_model": None,
        "training": training(),
        "comparison": comparison(),
        "deployed": True,
        "rolled_back": False,
        "watch": None,
        "model": {"digest": CHALLENGER, "version": 8, "since": "2026-11-21T20:09:44+00:00"},
        "seconds": 6.2,
        "failure": None,
        "history": history(),
    }


def bare() -> Json:
    return drift() | {
        "quality": [],
        "predictions": None,
        "target": None,
        "performance": None,
        "reasons": ["2 of 12 columns drifted"],
    }


def quiet() -> Json:
    """A night on which nothing moved and nothing was done."""
    calm = drift() | {
        "verdict": "no_drift",
        "severity": None,
        "reasons": [],
        "retraining_recommended": False,
        "quality": [],
        "columns": [column(name) for name in NAMES],
        "predictions": {"verdict": "no_drift", "columns": [column("probability of 1", importance=None)]},
        "performance": performance() | {"verdict": "fine", "current": 0.843, "drop": 0.002, "reasons": []},
    }
    decision = {"retrain": False, "recommended": False, "mode": "auto", "reasons": [], "blocked": []}
    model = {"digest": DIGEST, "version": 7, "since": "2026-10-02T02:00:31+00:00"}
    return full() | {
        **{"drift": calm, "decision": decision, "training": None, "comparison": None},
        **{"deployed": False, "model": model},
    }


def nothing_new() -> Json:
    return quiet() | {"drift": None, "history": None}


def first_run() -> Json:
    baseline = {"accuracy": {"value": 0.86, "low": 0.839, "high": 0.879, "rows": 1200}, "roc_auc": {"value": 0.91}}
    first = training() | {"digest": DIGEST, "version": 1, "baseline": baseline}
    return nothing_new() | {
        "first_model": first,
        "decision": None,
        "deployed": True,
        "model": {"digest": DIGEST, "version": 1, "since": None},
    }


def rejected(failing: str = "") -> Json:
    lost = None if failing else comparison("champion")
    return full() | {"training": training(failing, "rejected"), "comparison": lost, "deployed": False}


def waiting() -> Json:
    """The challenger has won and waits for a person."""
    return full() | {"training": training(outcome="staged"), "deployed": False}


def bad_data() -> Json:
    document = quiet()
    document["drift"]["quality"] = drift()["quality"] + [
        {
            "column": "income",
            "finding": "missing_column",
            "text": "income: the column is missing in the current rows; the reference has it.",
            "value": None,
            "limit": None,
            "key": "data.exclude",
            "blocking": True,
        }
    ]
    return document


def forced() -> Json:
    """The comparison was skipped by hand."""
    skipped = {"winner": "challenger", "forced": {"by": "ana", "why": "new tariff"}, "reasons": []}
    return full() | {"drift": None, "decision": None, "comparison": skipped}


def failed() -> Json:
    """A run that was stopped before it came to anything."""
    failure = {"kind": "TrainingError", "message": "The fit ran longer than training.timeout = 1h and was stopped."}
    kept = ("format", "run", "started", "model", "seconds", "history")
    return {key: value for key, value in quiet().items() if key in kept} | {"failure": failure}


def by_hand() -> Json:
    """A training by hand: nothing was watched or decided."""
    kept = ("format", "run", "started", "training", "comparison", "deployed", "model", "seconds", "history")
    return {key: value for key, value in full().items() if key in kept}


def wide(n: int = 500) -> Json:
    many = [column(f"sensor_{i:03d}", "drift" if i % 5 == 0 else "no_drift", importance=1 / n) for i in range(n)]
    return full() | {"drift": drift() | {"columns": many}}


SAMPLES = {
    "full": full,
    "bare": bare,
    "quiet": quiet,
    "nothing_new": nothing_new,
    "first_run": first_run,
    "rejected": rejected,
    "waiting": waiting,
    "bad_data": bad_data,
    "forced": forced,
    "by_hand": by_hand,
    "failed": failed,
    "wide": wide,
}


def thorough() -> Json:
    """A run in which everything there is to find was found."""
    document = full()
    found, performance = document["drift"], document["drift"]["performance"]
    found["columns"][0] |= {
        "since": "2026-11-18T02:00:00+00:00",
        "p_calibrated": 0.003,
        "usual": {"chunks": 16, "rows": 1250, "distance": 0.04},
        "moved": {
            "quantiles": [{"share": 0.5, "reference": 45.0, "current": 57.0}],
            "gained": [],
            "lost": [],
            "missing": [0.021, 0.024],
        },
    }
    found["season"] = {"by": "weekday", "rows_left_out": 12}
    pair = {"columns": ["age", "income"], "reference": 0.41, "current": -0.05, "change": -0.46, "p_adjusted": 1e-9}
    found["joint"] = {
        "verdict": "drift",
        "columns": 9,
        "limit": 0.2,
        "rows": [20000, 4652],
        "pairs": [pair | {"status": "drift"}],
        "reasons": ["Relation drift: age and income, correlation 0.41 before, -0.05 now."],
        "deep": {
            "verdict": "drift",
            "auc": 0.631,
            "z": 14.2,
            "limit": 0.55,
            "rows": [20000, 4652],
            "columns": [{"name": "plan", "importance": 0.7}],
            "reasons": ["A classifier tells old rows from new: AUC 0.631, mostly by plan."],
        },
    }
    found["estimate"] = {
        "verdict": "no_drop",
        "metric": "accuracy",
        "baseline": 0.845,
        "value": 0.829,
        "band": [0.803, 0.855],
        "drop": 0.016,
        "error_model": 0.826,
        "pape": 0.832,
        "cbpe": 0.838,
        "rows": 812,
        "from": "2026-11-20T00:00:00",
        "to": "2026-11-21T00:00:00",
        "outside": 0.004,
        "track": {"windows": 7, "error": 0.011, "carried_error": 0.019, "reliable": True},
        "reasons": ["accuracy is estimated at 0.829; it can't see concept drift, only labels can prove it."],
    }
    performance["leak"] = {
        "alarm": True,
        "evidence": 240000.0,
        "limit": 100000.0,
        "rows": 4512,
        "since": "2026-11-17T00:00:00",
    }
    worst = {"column": "plan", "value": "free", "rows": 420, "score": 0.61, "rest": 0.81, "gap": 0.2}
    performance["slices"] = [worst | {"interval": [0.15, 0.25], "p_value": 1e-8}]
    performance["reweighted"] = {"value": 0.774, "interval": [0.751, 0.797]}
    cost = {"total": 31.4, "standard_error": 8.2, "limit": 20.0, "reference_loss": 0.155, "rows": 4512, "backoff": 1}
    document["excess"] = cost | {"since": "2026-11-17T00:00:00"}
    document["shadow"] = {"reasons": ["The challenger in shadow has saved 12 wrong decisions so far."]}
    document["summary"] = "2 of 11 columns drifted."
    return document
