"""What a user's own past says about her settings: how often each would have cried wolf, and what it would have seen."""

import logging
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
from evergreen.replay.past import FEWEST_BLOCKS, Past, read_past
from evergreen.replay.quiet import Stretch, batch_of, contract_of, find_stretches, held_rows, window_of
from evergreen.replay.smallest_shifts import SmallestShift, find_smallest_shifts
from evergreen.settings import DriftSettings, Settings
from evergreen.wording import counted

logger = logging.getLogger(__name__)
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
    monitor holds it: features, the way they go together and, where there are labels, answers and outcomes. A stretch
    that can't be judged for want of labels is used too, and counted apart.
    """
    past = read_past(settings, block, label_delay, needs_target=False)
    logger.info("%s: %s rows in %s blocks", past.name, f"{past.edges[-1]:,}", past.blocks)
    stretches = find_stretches(settings, past, folder)
    used = [stretch for stretch in stretches if stretch.used]
    logger.info("comparing %s with what came before them", counted(sum(len(each.after) for each in used), "block"))
    cases = [case for stretch in used for case in _cases(settings, Library(folder, past), stretch)]
    per, runs = _rhythm(past)
    alarms = [_count(setting, cases, settings.drift, per_runs=runs) for setting in SETTINGS]
    logger.info("looking for the smallest shifts that would be seen")
    shifts = _shifts(settings, past, used)
    outcomes = any(case.predictions for case in cases)
    found = {
        "source": past.name,
        "block": past.length,
        "block_rows": round(int(past.edges[-1]) / past.blocks),
        "per": per,
        "families": ["columns", "relations", *(["predictions", "target"] if outcomes else [])],
        "stretches": [_tell(past, stretch) for stretch in stretches],
        "quiet": sum(stretch.quiet is True for stretch in stretches),
        "not_judged": sum(stretch.quiet is None for stretch in stretches),
        "too_small": sum(_too_small(case, settings.drift) for case in cases),
        "settings": alarms,
        "shifts": [asdict(shift) for shift in shifts],
    }
    return found | {"sentences": _sentences(past, stretches, found, settings.drift.min_rows)}


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


def _too_small(case: Case, drift: DriftSettings) -> bool:
    """Whether a run has too few rows to be judged: it can't alarm, whatever happens."""
    return min(profile.rows for profile in case.features) < drift.min_rows


def _count(setting: Setting, cases: Sequence[Case], drift: DriftSettings, *, per_runs: float) -> dict[str, Any]:
    own = changed(drift, setting.changes)
    alarms = sum(_alarms(setting, case, own) for case in cases)
    told = any(setting.bare or not _too_small(case, own) for case in cases)
    return {
        "title": setting.title,
        "changes": {
            key: getattr(own, key) for key in DriftSettings.model_fields if getattr(own, key) != getattr(drift, key)
        },
        "chunk_calibration": setting.steady,
        "runs": len(cases),
        "alarms": alarms,
        "share": round(alarms / len(cases), 4) if told else None,
        "expected": round(alarms / len(cases) * per_runs, 3) if told else None,
        "at_most": round(_at_most(alarms, len(cases)) * per_runs, 3) if told else None,
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
        return compare_profiles(before if setting.steady else _without_stretches(before), now, drift)

    before, now = case.features
    before = before if setting.steady else _without_stretches(before)
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


def _without_stretches(reference: Profile) -> Profile:
    """As if nothing were known of how much the reference differs from one stretch to the next."""
    related = reference.relations
    return replace(reference, steadiness=None, relations=related and replace(related, levels=()))


def _rhythm(past: Past) -> tuple[str, float]:
    """What alarms are counted per, and how many runs that is, one run being made for each block."""
    keys = past.batch.keys
    if keys.dtype.kind != "M":
        return "100 blocks", 100.0
    return "month", float(MONTH / ((keys[-1] - keys[0]) / past.blocks))


def _shifts(settings: Settings, past: Past, used: Sequence[Stretch]) -> tuple[SmallestShift, ...]:
    """Looked for in blocks of the last of these stretches, which are most like what is to come."""
    chosen = used[-2:]
    pairs = [(stretch, block) for stretch in chosen for block in stretch.after][-MAX_SHIFTED:]
    return find_smallest_shifts(settings, past, pairs) if pairs else ()


def _tell(past: Past, stretch: Stretch) -> dict[str, Any]:
    return {
        "reference": [past.label_of(stretch.reference.start), past.label_of(stretch.reference.stop)],
        "after": [past.label_of(stretch.after.start), past.label_of(min(stretch.after.stop, past.blocks - 1))],
        "verdict": stretch.verdict or None,
        "quiet": stretch.quiet,
        "used": stretch.used,
    }


def _sentences(past: Past, stretches: Sequence[Stretch], found: Mapping[str, Any], min_rows: int) -> list[str]:
    told = [_about_stretches(past, stretches, found)]
    if not any(stretch.used for stretch in stretches):
        nothing = "Nowhere was this past quiet, so there is no run to count: false alarms can't be told from true ones."
        return [*told, nothing]
    if found["too_small"]:
        told.append(_about_small_blocks(past, found, min_rows))
    own, bare = found["settings"][0], found["settings"][-1]
    if own["expected"] is None:
        return told
    alarms = "alarms" if past.task and not found["quiet"] else "false alarms"
    told.append(
        f"As configured, expect {own['expected']:.3g} {alarms} per {found['per']} ({own['alarms']} in "
        f"{counted(own['runs'], 'run')}, which rules out more than {own['at_most']:.3g}); the bare rules of "
        f"tutorials give {bare['expected']:.3g}."
    )
    if past.task and not found["quiet"]:
        told.append("No stretch was judged to be quiet, so nobody can tell which of these alarms are false.")
    elif past.task and found["not_judged"]:
        told.append("Where a model could not be judged an alarm may be a true one, so these figures may be too high.")
    return told + _about_blind_columns(found["shifts"])


def _about_stretches(past: Past, stretches: Sequence[Stretch], found: Mapping[str, Any]) -> str:
    """Where the runs that are counted come from."""
    of = f"{len(stretches)} stretches of {counted(len(stretches[0].after), 'block')} ({past.length} each)"
    if past.task:
        quiet = f"{found['quiet']} of {of} were quiet (the model trained before did not become worse)"
        late = f", {found['not_judged']} could not be judged for want of labels" if found["not_judged"] else ""
        chosen = f"{quiet}{late}; each block of these"
    else:
        chosen = f"all of {of} were used, because there are no labels that tell which were quiet; each block"
    outcomes = "features, their relations, answers and outcomes"
    compared = outcomes if "target" in found["families"] else "features and their relations"
    return f"{past.name}: {chosen} was held against the stretch before it, as by a run a block: {compared}."


def _about_small_blocks(past: Past, found: Mapping[str, Any], min_rows: int) -> str:
    """That runs which have too few rows never alarm, which is no merit of the settings."""
    small, runs, rows = found["too_small"], found["settings"][0]["runs"], found["block_rows"]
    limit = f"drift.min_rows = {min_rows:,}"
    if small < runs:
        said = f"In {small} of {counted(runs, 'run')} there were fewer rows than {limit}, so that they could not alarm"
    else:
        said = f"As configured no run can alarm: a block has about {counted(rows, 'row')}, fewer than {limit}"
    return f"{said}. {_longer_blocks(past, min_rows)}"


def _longer_blocks(past: Past, min_rows: int) -> str:
    """What to do about it; twice as many rows leave enough in blocks that are shorter or lack some values."""
    rows = 2 * min_rows
    if past.edges[-1] < FEWEST_BLOCKS * rows:
        return f"This past of {past.edges[-1]:,} rows is too short for blocks of {rows:,}; come back when it has grown."
    return f"Choose longer blocks, such as --block {rows}."


def _about_blind_columns(shifts: Sequence[Mapping[str, Any]]) -> list[str]:
    blind = [shift["column"] for shift in shifts if shift["size"] is None]
    return [f"Hardly any change would be seen in: {', '.join(blind[:5])}."] if blind else []
