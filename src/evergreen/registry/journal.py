"""The journal: what happened to the models, one JSON object a line, each carrying the hash of the line before.

Lines are only ever added, under the store's lock. A changed, removed or inserted line breaks the
chain of hashes and is found by `verify_chain`. The order of events is the order of lines: clocks may jump.
"""

import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from evergreen import files
from evergreen.errors import UsageError

FIRST = "0" * 64
TAIL = 1 << 20
GOES_LIVE = ("deploy", "adopt", "rollback", "restored")
PREFIX = re.compile(r"[0-9a-f]{6,64}")
RESERVED = ("seq", "time", "event", "previous")


@dataclass(frozen=True)
class Entry:
    """One line of the journal: its number, time (ISO, UTC), event, the hash of the line before, and what it says."""

    seq: int
    time: str
    event: str
    previous: str
    content: Mapping[str, Any]

    @property
    def moment(self) -> datetime:
        """The time as an aware datetime in UTC."""
        return datetime.fromisoformat(self.time)

    def get(self, key: str, default: Any = None) -> Any:
        """One value of the content."""
        return self.content.get(key, default)

    def to_dict(self) -> dict[str, Any]:
        """The entry as it stands in the file."""
        head = {"seq": self.seq, "time": self.time, "event": self.event, "previous": self.previous}
        return head | dict(self.content)


def utc_text(moment: datetime) -> str:
    """A moment as ISO text in UTC, to the second; a moment without a zone is taken as UTC.

    >>> utc_text(datetime(2026, 11, 21, 20, 9, 39, 5))
    '2026-11-21T20:09:39Z'
    """
    return as_utc(moment).strftime("%Y-%m-%dT%H:%M:%SZ")


def as_utc(moment: datetime) -> datetime:
    """The moment as an aware datetime in UTC; without a zone it is taken as UTC."""
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def read_journal(path: Path) -> tuple[Entry, ...]:
    """All entries, oldest first; none when there is no journal yet.

    Lines that are no entry (cut short by a crash before they were acknowledged) are passed over here
    and named by `verify_chain`.
    """
    return tuple(entry for _, _, entry in _lines(path) if entry is not None)


def append_entry(path: Path, event: str, now: datetime, **content: Any) -> Entry:
    """Add an event to the journal and put it on the disk; call it under the store's lock.

    Content is plain JSON, without NaN. Raises `StorageError` when it can't be written.
    """
    if taken := set(content) & set(RESERVED):
        raise ValueError(f"the journal itself uses {', '.join(sorted(taken))}; name the content otherwise")
    previous, seq = _end(path)
    made = Entry(seq + 1, utc_text(now), event, previous, content)
    files.append_line(path, json.dumps(made.to_dict(), ensure_ascii=False, allow_nan=False))
    return made


def verify_chain(path: Path) -> list[str]:
    """Problems of the journal, each as a sentence; empty when every line follows from the one before."""
    problems = []
    expected, seq, unread = FIRST, 0, 0
    for line, number, entry in _lines(path):
        if entry is None:
            unread = number
        elif entry.previous != expected:
            problems.append(f"{path}: line {unread or number - 1} or {number} was changed, added or removed.")
        elif entry.seq != seq + 1:
            problems.append(f"{path}: line {number} has number {entry.seq}, expected {seq + 1}.")
        if entry is not None:
            seq, unread = entry.seq, 0
        expected = _hash(line)
    if unread:
        problems.append(f"{path}: the last line is cut short, as by a crash; the next run goes on after it.")
    return problems


def ends_torn(path: Path) -> bool:
    """Whether the last line is no entry, as after a crash in the middle of writing it."""
    lines = list(_lines(path))
    return bool(lines) and lines[-1][2] is None


def live_entry(entries: tuple[Entry, ...], moment: datetime | None = None) -> Entry | None:
    """The last entry by which a model went live, by line order, up to and including a moment."""
    for entry in reversed(entries):
        if entry.event in GOES_LIVE and (moment is None or entry.moment <= moment):
            return entry
    return None


def past_runs(entries: tuple[Entry, ...]) -> list[dict[str, Any]]:
    """What earlier runs left in the journal, oldest first."""
    return [entry.to_dict() for entry in entries if entry.event == "run"]


def labelled_per_run(entries: tuple[Entry, ...], last: int = 10) -> int | None:
    """Labelled rows that usually came between two of the last runs; None before there were two.

    The median, so that neither a run by hand in between nor a holiday counts for much.
    """
    counts = [(run.get("table") or {}).get("labelled_rows") for run in past_runs(entries)]
    known = [count for count in counts if count is not None]
    came = [after - before for before, after in pairwise(known) if after > before][-last:]
    return round(median(came)) if came else None


def run_cut_short(entries: tuple[Entry, ...]) -> Entry | None:
    """The change of the live model by a run that a crash kept from writing its own line; None when there is none."""
    for entry in reversed(entries):
        if entry.event == "run":
            return None
        if entry.event in GOES_LIVE and entry.get("run"):
            return entry
    return None


def line_of_run(change: Entry) -> dict[str, Any]:
    """What is known of such a run: what became of the live model, and that nothing else was written."""
    first, deployed = change.get("replaced") is None, change.event == "deploy"
    return {
        "run": str(change.get("run")).removesuffix(".first"),
        "wanted": deployed,
        "reasons": [change.get("reason")],
        "blocked": [],
        "first": deployed and first,
        "retrained": deployed and not first,
        "outcome": "deployed" if deployed else None,
        "deployed": deployed,
        "rolled_back": change.event == "rollback",
        "news": True,
        "failed": True,
        "failure": {"kind": "Crash", "message": "The run was cut short after the live model had changed."},
    }


def line_of_descent(entries: tuple[Entry, ...]) -> list[str]:
    """The models one behind the other, oldest first, the live one last: what rolling back walks along.

    A deploy adds a model at the end; going back to one that is in the line cuts off all after it, so
    that rolling back twice goes back two models instead of returning to the one just left.
    """
    line: list[str] = []
    for entry in entries:
        if entry.event in GOES_LIVE:
            digest = entry.content["digest"]
            going_back = entry.event in ("rollback", "restored") and digest in line
            kept = line[: line.index(digest)] if going_back else [each for each in line if each != digest]
            line = [*kept, digest]
    return line


def model_names(entries: tuple[Entry, ...]) -> dict[str, str]:
    """How each model of the journal is called in messages: `version 3 (abababababab)`, by digest, oldest first."""
    named = {entry.get("digest"): entry.get("version") for entry in entries if entry.get("version")}
    return {digest: f"version {version} ({digest[:12]})" for digest, version in named.items()}


def find_model(name: str, entries: tuple[Entry, ...], known: Collection[str]) -> str:
    """The digest of the one model that a version (`3`, `v3`) or at least six first digits mean.

    `known` are digests to look among besides those of the journal. Raises `UsageError` listing the models.
    """
    names = model_names(entries)
    wanted = f"version {name.removeprefix('v')} "
    found = [digest for digest, called in names.items() if called.startswith(wanted)]
    if not found and PREFIX.fullmatch(name):
        found = [digest for digest in {*known, *names} if digest.startswith(name)]
    if len(found) == 1:
        return found[0]
    why = f"fits {len(found)} models; give more digits" if found else "is not known here"
    raise UsageError(f"Model '{name}' {why}. Known are: {', '.join(names.values()) or 'none'}.")


def unfinished_intent(entries: tuple[Entry, ...]) -> Entry | None:
    """The intent that no result follows, as after a crash in between."""
    last = next((each for each in reversed(entries) if each.event in ("intent", "abandoned", *GOES_LIVE)), None)
    return last if last and last.event == "intent" else None


def _lines(path: Path) -> Iterator[tuple[bytes, int, Entry | None]]:
    """Each line with its number and the entry it holds, or None when it holds none."""
    try:
        content = files.read_bytes(path)
    except FileNotFoundError:
        return
    for number, line in enumerate(content.removesuffix(b"\n").split(b"\n") if content else [], start=1):
        yield line, number, _parse(line)


def _end(path: Path) -> tuple[str, int]:
    """The hash of the last line and the number of the last entry; reads only the end of a long journal."""
    for size in (TAIL, None):
        try:
            lines = files.read_bytes(path, last=size).removesuffix(b"\n").split(b"\n")
        except FileNotFoundError:
            break
        numbers = [entry.seq for entry in map(_parse, lines) if entry]
        # The first line of a tail may be cut; with an entry in it, all that follows is whole.
        if numbers or size is None:
            return _hash(lines[-1]), numbers[-1] if numbers else 0
    return FIRST, 0


@lru_cache(maxsize=2**16)  # one run reads the journal many times; it holds what it read anyway
def _parse(line: bytes) -> Entry | None:
    try:
        document = json.loads(line)
        seq, time, event, previous = (document.pop(key) for key in RESERVED)
        aware = datetime.fromisoformat(time).tzinfo is not None
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return Entry(seq, time, event, previous, document) if aware and isinstance(seq, int) else None


def _hash(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()
