"""Profiles in files: each machine of a fleet summarises its own rows, and someone adds them up and compares.

A profile of the current rows is taken on the bins of a reference, so the reference comes first; profiles taken on
the same bins add up exactly. A file is one JSON object of about 8 kB a numeric column, whatever the rows.
"""

import json
import logging
from collections.abc import Iterator, Sequence
from functools import reduce
from pathlib import Path

from evergreen.data.formats.places import DataFile, find_data_files
from evergreen.data.sources import names_files
from evergreen.drift.profile import Profile, merge
from evergreen.drift.summaries import BareProfile, CategoryProfile, ColumnProfile, NumberProfile
from evergreen.errors import DataError
from evergreen.files import write_atomic

logger = logging.getLogger(__name__)

KIND = "evergreen profile"
FORMAT = 1
ADVICE = (
    "Current rows are profiled against their reference: "
    "python src/detect_drift.py --reference REFERENCE --current ROWS --profile-out FILE"
)


def save_profile(profile: Profile, path: Path) -> None:
    """Write a profile to a file, whole or not at all."""
    document = {"kind": KIND, **profile.to_dict(), "format": FORMAT}
    write_atomic(path, json.dumps(document, allow_nan=False, separators=(",", ":")) + "\n")
    rows, columns = f"{profile.rows:,}", f"{len(profile.columns):,}"
    logger.info("The profile of %s rows in %s columns is in %s.", rows, columns, path)


def find_saved(source: str, root: Path) -> tuple[DataFile, ...]:
    """The files of a source that is one or more saved profiles; none when it is a table.

    Told by the first character, which no table begins with: a file may be called anything.
    """
    if not names_files(source):
        return ()
    files = find_data_files(source, root)
    return files if all(file.first_bytes(1) == b"{" for file in files) else ()


def load_profile(files: Sequence[DataFile]) -> Profile:
    """The profile of all rows of the files together.

    Raises `DataError` for other JSON, profiles on other bins, and a file that is there twice.
    """
    contents = [_read(file) for file in files]
    _check_different(files, contents)
    profiles = [parse_profile(content, file.name) for file, content in zip(files, contents, strict=True)]
    for file, profile in zip(files[1:], profiles[1:], strict=True):
        check_comparable(profiles[0], profile, file.name, files[0].name)
    names = [file.name for file in files]
    source = names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
    whole = reduce(merge, profiles)
    return Profile(**{**whole.__dict__, "source": f"{whole.source or 'profile'} ({source})"})


def _read(file: DataFile) -> bytes:
    with file.open() as stream:
        return bytes(stream.read())


def _check_different(files: Sequence[DataFile], contents: Sequence[bytes]) -> None:
    """Raise `DataError` when two files are the same, by name or by content: its rows would count twice."""
    seen: dict[bytes, str] = {}
    for file, content in zip(files, contents, strict=True):
        if content in seen:
            same = "named twice" if seen[content] == file.name else f"the same profile as {seen[content]}"
            raise DataError(f"{file.name}: {same}, so its rows would count twice. Name each part once.")
        seen[content] = file.name


def parse_profile(content: bytes, name: str) -> Profile:
    """The profile that a file of this name holds."""
    try:
        document = json.loads(content)
    except ValueError as error:
        raise DataError(f"{name}: damaged or cut short ({error}). Write or copy the file again.") from None
    if not isinstance(document, dict) or document.get("kind") != KIND:
        raise DataError(
            f"{name}: this is JSON, but no profile that --profile-out has written (kind '{KIND}'). "
            "Tables are read as CSV, Parquet or Feather."
        )
    if document["format"] != FORMAT:
        raise DataError(
            f"{name}: a profile of format {document['format']}; this Evergreen reads format {FORMAT}. "
            "Take it again with the same version on all machines."
        )
    try:
        return Profile.from_dict(document)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise DataError(f"{name}: not a whole profile ({error!r}). Take it again.") from None


def check_comparable(one: Profile, other: Profile, name: str, beside: str) -> None:
    """Raise `DataError` when profiles were not taken on the same bins, and so can't be added up."""
    missing = sorted(one.columns.keys() ^ other.columns.keys())
    if missing:
        where = name if missing[0] in one.columns else beside
        raise DataError(f"{name}: other columns than in {beside}: '{missing[0]}' is not in {where}. {ADVICE}")
    for column in _unlike(one, other):
        raise DataError(f"{name}: column '{column}' was counted on other bins than in {beside}. {ADVICE}")


def check_current(reference: Profile, current: Profile) -> None:
    """Raise `DataError` when a profile of current rows was not taken on the bins of this reference."""
    for column in (*_unlike(reference, current), *_uncounted(reference, current)):
        raise DataError(
            f"{current.source}: column '{column}' was counted on other bins than in {reference.source}. {ADVICE}"
        )


def _uncounted(reference: Profile, current: Profile) -> Iterator[str]:
    """Categories of which the current rows were counted together, and the reference's by name."""
    for name, column in reference.columns.items():
        found = current.columns.get(name)
        if not (isinstance(column, CategoryProfile) and isinstance(found, CategoryProfile)):
            continue
        if found.other and not column.counts.keys() <= found.counts.keys():
            yield name


def _unlike(one: Profile, other: Profile) -> Iterator[str]:
    for name, column in one.columns.items():
        if name in other.columns and not _alike(column, other.columns[name]):
            yield name


def _alike(one: ColumnProfile, other: ColumnProfile) -> bool:
    if isinstance(one, NumberProfile) and isinstance(other, NumberProfile):
        return one.edges.shape == other.edges.shape and bool((one.edges == other.edges).all())
    problems = [column.problem for column in (one, other) if isinstance(column, BareProfile)]
    return type(one) is type(other) or any(problems)
