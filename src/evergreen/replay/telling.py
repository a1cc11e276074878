"""A replay as a plain document: what text, JSON and the page are made of."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from evergreen.replay.advice import Advice, advise, late_blocks, why_no_advice
from evergreen.replay.replaying import Outcome, Replayed

UNITS = {"wrong": "wrong decisions", "cost": "your own cost", "error": "rows answered as badly as without a model"}


def to_document(replayed: Replayed) -> dict[str, Any]:
    """Plain JSON types; scores that the labels can't tell are None.

    Costs are in wrong decisions, in the user's own unit, or, for numbers, in rows answered as badly as by the best
    constant; `ratio` is to the fixed period that was best in hindsight, where that is known.
    """
    past, first = replayed.past, replayed.first
    best = next((each.cost(replayed.retrain_cost) for each in replayed.outcomes if each.hindsight), None)
    return {
        "source": past.name,
        "rows": int(past.edges[-1]),
        "blocks": past.blocks,
        "first_block": first,
        "block": past.length,
        "block_rows": round(int(past.edges[-1]) / past.blocks),
        "starts": [past.label_of(block) for block in range(first, past.blocks)],
        "late_blocks": late_blocks(past),
        "metric": replayed.scale.metric.name,
        "higher_is_better": replayed.scale.metric.higher_is_better,
        "cost_unit": UNITS[replayed.scale.kind],
        "retrain_cost": replayed.retrain_cost,
        "policies": [_policy(each, replayed.retrain_cost, best) for each in _by_cost(replayed)],
        "advice": _advice(advise(replayed)),
        "no_advice": why_no_advice(replayed),
    }


def _by_cost(replayed: Replayed) -> list[Outcome]:
    return sorted(replayed.outcomes, key=lambda each: (each.cost(replayed.retrain_cost), each.hindsight))


def _policy(outcome: Outcome, price: float, best: float | None) -> dict[str, Any]:
    cost = outcome.cost(price)
    return {
        "name": outcome.policy.name,
        "title": outcome.policy.title,
        "hindsight": outcome.hindsight,
        "period": None if outcome.policy.watches else outcome.policy.period,
        "score": _number(_mean(outcome.scores)),
        "decisions": round(float(outcome.costs.sum()), 3),
        "retrains": len(outcome.retrained),
        "deployed": len(outcome.deployed),
        "shadow_trainings": len(outcome.shadows),
        "false_alarms": outcome.false_alarms,
        "rollbacks": sum(night.rolled_back for night in outcome.play.nights),
        "cost": round(cost, 3),
        "ratio": round(cost / best, 4) if best else None,
        "by_block": {
            "score": [_number(score) for score in outcome.scores],
            "cost": [round(float(cost), 3) for cost in outcome.costs],
            "retrained": list(outcome.retrained),
            "deployed": list(outcome.deployed),
            "shadow": list(outcome.shadows),
            "why": {
                str(outcome.play.first + place): night.failure or night.why
                for place, night in enumerate(outcome.play.nights)
                if night.trained or night.failure
            },
            "held_back": {
                str(outcome.play.first + place): night.held_back
                for place, night in enumerate(outcome.play.nights)
                if night.held_back
            },
        },
    }


def _mean(scores: np.ndarray) -> float:
    told = scores[np.isfinite(scores)]
    return float(told.mean()) if len(told) else math.nan


def _advice(advice: Advice | None) -> dict[str, Any] | None:
    return None if advice is None else {key: _plain(value) for key, value in asdict(advice).items()}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


def _number(value: float) -> float | None:
    return round(float(value), 6) if math.isfinite(value) else None
