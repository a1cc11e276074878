"""What a user's own past says about her settings: how often each would have cried wolf, and what it would have seen."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from evergreen.drift.bare_rules import find_bare
from evergreen.drift.columns import ColumnDrift, compare_profiles
from evergreen.drift.in_time import profile_current, profile_rows, relate_rows
from evergreen.drift.joint import compare_relations
from evergreen.drift.outcomes import profile_answers, profile_target
from evergreen.drift.profile import Profile
from evergreen.drift.verdict import conclude
from evergreen.registry.describing import kinds_of
from evergreen.replay.library import Library, Memory, recall
from evergreen.replay.past import Past, read_past
from evergreen.replay.quiet import Stretch, batch_of, contract_of, find_stretches, held_rows, window_of
from evergreen.replay.smallest_shifts import SmallestShift, find_smallest_shifts
from evergreen.settings import DriftSettings, Settings

MONTH = np.timedelta64(30, "D")
MAX_SHIFTED = 20  # blocks in which shifts are looked for: more would sharpen little and take long


@dataclass(frozen=True)
class Setting:
    """One way to set drift detection: what differs from the user's settings; `steady` uses the usual distances."""

    title: str
    changes: Mapping[str, Any]
    steady: bool = True
    bare: bool = False


SETTINGS = (
    Setting("as configured", {}),
    Setting("without chunk calibration", {}, steady=False),
    Setting("alpha = 0.01", {"alpha": 0.01}),
    Setting('correction = "bonferroni"', {"correction": "bonferroni"}),
    Setting('correction = "none"', {"correction": "none"}),
    Setting('correction = "none", without chunk calibration', {"correction": "none"}, steady=False),
    Setting("half of min_ks, min_psi, min_group", {"halve": True}),
    Setting("twice min_ks, min_psi, min_group", {"double": True}),
    Setting("any significant change, however small", {"min_ks": 1e-9, "min_psi": 1e-9, "min_group": 1e-9}),
    Setting("the bare rules of tutorials, of columns", {}, steady=False, bare=True),
)


Pair = tuple[Profile, Profile]


@dataclass(frozen=True)
class Case:
    """A reference and one block after it, profiled: the features, and the other families where a model tells them."""

    features: Pair
    predictions: Pair | None = None
    target: Pair | None = None


def calibrate(settings: Settings, block: str, label_delay: str, *, folder: Path) -> dict[str, Any]:
    """The document of a calibration, plain JSON types.

    Each block of a quiet stretch is held against the stretch before it, once under each setting, as a run of the
    monitor holds it: features, the way they go together and, where there are labels, answers and outcomes.
    """
    past = read_past(settings, block, label_delay, needs_target=False)
    stretches = find_stretches(settings, past, folder)
    quiet = [stretch for stretch in stretches if stretch.quiet]
    cases = [case for stretch in quiet for case in _cases(settings, Library(folder, past), stretch)]
    per, runs = _rhythm(past)
    alarms = [_count(setting, cases, settings.drift, per_runs=runs) for setting in SETTINGS]
    shifts = _shifts(settings, past, quiet)
    return {
        "source": past.name,
        "block_rows": round(int(past.edges[-1]) / past.blocks),
        "per": per,
        "families": ["columns", "relations", *(["predictions", "target"] if cases and cases[0].predictions else [])],
        "stretches": [_tell(past, stretch) for stretch in stretches],
        "settings": alarms,
        "shifts": [asdict(shift) for shift in shifts],
        "sentences": _sentences(past, stretches, quiet, alarms, per, shifts),
    }


def _cases(settings: Settings, library: Library, stretch: Stretch) -> list[Case]:
    past, drift = library.past, settings.drift
    kinds = kinds_of(contract_of(past, stretch.reference))
    rows = batch_of(past, stretch.reference)
    features = profile_rows(rows.frame, kinds, rows.keys, drift, source="reference")
    features = relate_rows(features, rows.frame, rows.keys, drift)
    if not stretch.model:
        return [Case(_pair(past, block, features, kinds, drift)) for block in stretch.after]
    memory = recall(str(library.folder), stretch.model)
    said, happened = _outcomes(past, memory, held_rows(past, memory, stretch), drift)
    cases = []
    for block in stretch.after:
        says, happens = _outcomes(past, memory, past.rows_of(block), drift, before=(said, happened))
        cases.append(Case(_pair(past, block, features, kinds, drift), (said, says), (happened, happens)))
    return cases


def _pair(past: Past, block: int, reference: Profile, kinds: Mapping[str, str], drift: DriftSettings) -> Pair:
    window = window_of(past, range(block, block + 1))
    return reference, profile_current(past.before(past.blocks), kinds, reference, drift, window=window)


def _outcomes(past: Past, memory: Memory, rows: slice, drift: DriftSettings, before: Pair | None = None) -> Pair:
    """What the model said of some rows, and what happened."""
    said, happened = before or (None, None)
    keys, labelled = past.batch.keys[rows], past.batch.labelled[rows]
    says = profile_answers(memory.answers(rows), keys, drift, against=said)
    return says, profile_target(past.batch.labels[rows][labelled], keys[labelled], drift, against=happened)


def _count(setting: Setting, cases: Sequence[Case], drift: DriftSettings, *, per_runs: float) -> dict[str, Any]:
    own = changed(drift, setting.changes)
    alarms = sum(_alarms(setting, case, own) for case in cases)
    share = alarms / len(cases) if cases else 0.0
    return {
        "title": setting.title,
        "changes": {
            key: getattr(own, key) for key in DriftSettings.model_fields if getattr(own, key) != getattr(drift, key)
        },
        "chunk_calibration": setting.steady,
        "runs": len(cases),
        "alarms": alarms,
        "share": round(share, 4),
        "expected": round(share * per_runs, 3),
        "at_most": round(_at_most(alarms, len(cases)) * per_runs, 3),
    }


def _at_most(alarms: int, runs: int) -> float:
    """The share of runs with an alarm that is ruled out with 95 % certainty (Clopper & Pearson 1934).

    >>> round(_at_most(0, 59), 3)
    0.05
    """
    from scipy.special import betaincinv

    return 1.0 if alarms >= runs else float(betaincinv(alarms + 1, runs - alarms, 0.95))


def changed(drift: DriftSettings, changes: Mapping[str, Any]) -> DriftSettings:
    """The user's settings with what a setting changes; `halve` and `double` are about what counts as material."""
    factor = 0.5 if changes.get("halve") else 2.0 if changes.get("double") else None
    if factor is None:
        return drift.model_copy(update=dict(changes))
    return drift.model_copy(update={key: factor * getattr(drift, key) for key in ("min_ks", "min_psi", "min_group")})


def _alarms(setting: Setting, case: Case, drift: DriftSettings) -> bool:
    """Whether the run's verdict is drift; the bare rules know nothing but columns."""

    def compare(pair: Pair | None) -> tuple[ColumnDrift, ...] | None:
        if pair is None:
            return None
        before, now = pair
        return compare_profiles(before if setting.steady else replace(before, steadiness=None), now, drift)

    before, now = case.features
    report = conclude(
        before,
        now,
        compare(case.features) or (),
        drift,
        predictions=compare(case.predictions),
        target=compare(case.target),
        joint=compare_relations(before.relations, now.relations, drift),
    )
    return bool(find_bare(report)) if setting.bare else report.verdict == "drift"


def _rhythm(past: Past) -> tuple[str, float]:
    """What alarms are counted per, and how many runs that is, one run being made for each block."""
    keys = past.batch.keys
    if keys.dtype.kind != "M":
        return "100 blocks", 100.0
    return "month", float(MONTH / ((keys[-1] - keys[0]) / past.blocks))


def _shifts(settings: Settings, past: Past, quiet: Sequence[Stretch]) -> tuple[SmallestShift, ...]:
    """Looked for in blocks of the last quiet stretches, which are most like what is to come."""
    chosen = quiet[-2:]
    pairs = [(stretch, block) for stretch in chosen for block in stretch.after][-MAX_SHIFTED:]
    return find_smallest_shifts(settings, past, pairs) if pairs else ()


def _tell(past: Past, stretch: Stretch) -> dict[str, Any]:
    return {
        "reference": [past.label_of(stretch.reference.start), past.label_of(stretch.reference.stop)],
        "after": [past.label_of(stretch.after.start), past.label_of(min(stretch.after.stop, past.blocks - 1))],
        "verdict": stretch.verdict or None,
        "quiet": stretch.quiet,
    }


def _sentences(
    past: Past,
    stretches: Sequence[Stretch],
    quiet: Sequence[Stretch],
    alarms: Sequence[Mapping[str, Any]],
    per: str,
    shifts: Sequence[SmallestShift],
) -> list[str]:
    judged = any(stretch.verdict for stretch in stretches)
    why = "on which the model trained before did not become worse" if judged else "all, because there are no labels"
    found = [
        f"{past.name}: {len(quiet)} of {len(stretches)} stretches of {len(stretches[0].after)} blocks were quiet "
        f"({why}); each of their blocks was held against the stretch before it, as by a run a block: "
        f"{'features, their relations, answers and outcomes' if judged else 'features and their relations'}."
    ]
    if not quiet:
        return [*found, "Nowhere was this past quiet, so false alarms can't be told from true ones here."]
    own, bare = alarms[0], alarms[-1]
    found.append(
        f"As configured, expect {own['expected']:.3g} false alarms per {per} ({own['alarms']} in {own['runs']} runs, "
        f"which rules out more than {own['at_most']:.3g}); the bare rules of tutorials give {bare['expected']:.3g}."
    )
    blind = [shift.column for shift in shifts if shift.size is None]
    if blind:
        found.append(f"Hardly any change would be seen in: {', '.join(blind[:5])}.")
    return found
