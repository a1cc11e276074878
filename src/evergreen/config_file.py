"""The settings of a run, read from where a user may put them, checked as a whole.

Order of precedence: flags (`--set section.key=value`), environment (`EVERGREEN_SECTION_KEY`), the
file, the defaults of `settings`. Below the scripts nothing reads the environment: `load` is handed what it may look at.
"""

import difflib
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from evergreen.errors import UsageError
from evergreen.masking import shown_source
from evergreen.settings import DriftRule, Section, Settings

ENVIRONMENT_PREFIX = "EVERGREEN_"
SECTIONS: dict[str, type[Section]] = {
    name: field.annotation
    for name, field in Settings.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
}


def load(path: Path | None, environment: Mapping[str, str], overrides: tuple[str, ...] = ()) -> Settings:
    """Settings from a file, the environment and `section.key=value` words, checked as a whole.

    Without a path everything not overridden has its default. Raises `UsageError` naming the file,
    the key, the value and what was expected; all problems are reported together.
    """
    values = _read_file(path) if path else {}
    origin = str(path) if path else "the settings"
    _check_names(values, origin)
    given: dict[str, str] = {}
    for source, section, key, text in [*_from_environment(environment), *map(_from_flag, overrides)]:
        values.setdefault(section, {})[key] = _literal(text, section, key)
        given[f"{section}.{key}"] = source
    try:
        return Settings(root=path.resolve().parent if path else Path.cwd(), **values)
    except ValidationError as error:
        raise UsageError("\n".join(_explain(error.errors(), given, origin))) from None


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise UsageError(f"{path}: there is no such file. Name the configuration with --config FILE.") from None
    except IsADirectoryError:
        raise UsageError(f"{path}: this is a folder; --config needs a file such as {path}/config.toml.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not valid TOML: {error}.") from None


def _check_names(values: dict[str, Any], origin: str) -> None:
    problems = []
    for section, content in values.items():
        if section not in SECTIONS:
            problems.append(f"unknown section [{section}]{_nearest(section, SECTIONS)}")
        elif not isinstance(content, dict):
            problems.append(f"[{section}] must be a section with keys, found {shown_source(repr(content))}")
        else:
            known = SECTIONS[section].model_fields
            problems += [f"unknown key {section}.{key}{_nearest(key, known)}" for key in content if key not in known]
    if problems:
        raise UsageError(f"{origin}: " + "\n".join(problems))


def _nearest(name: str, known: Any) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else f"; known are: {', '.join(known)}."


def _from_environment(environment: Mapping[str, str]) -> list[tuple[str, str, str, str]]:
    """The variables that name a section and a key; an unknown key in a known section is an error."""
    found = []
    for name, text in environment.items():
        if not name.startswith(ENVIRONMENT_PREFIX):
            continue
        section, _, key = name.removeprefix(ENVIRONMENT_PREFIX).lower().partition("_")
        if section in SECTIONS and key:
            if key not in SECTIONS[section].model_fields:
                raise UsageError(f"{name}: unknown key {section}.{key}{_nearest(key, SECTIONS[section].model_fields)}")
            found.append((name, section, key, text))
    return found


def _from_flag(text: str) -> tuple[str, str, str, str]:
    name, equals, value = text.partition("=")
    section, dot, key = name.strip().partition(".")
    if not (equals and dot):
        raise UsageError(f"--set {shown_source(text)}: expected section.key=value, such as --set drift.alpha=0.01.")
    _check_names({section: {key: value}}, f"--set {text}")
    return f"--set {name.strip()}", section, key, value


def _literal(text: str, section: str, key: str) -> Any:
    """Words become JSON or TOML values where they can: 0.01, true, ["a"], {a = "b"}.

    Keys that hold text keep them as they are, and a list of names may be written as `a,b`.
    """
    annotation = SECTIONS[section].model_fields[key].annotation
    if annotation is str:
        return text
    if get_origin(annotation) is tuple and get_args(annotation)[0] is not DriftRule and text.strip()[:1] != "[":
        return [word.strip() for word in text.split(",")]
    with suppress(json.JSONDecodeError):
        return json.loads(text)
    with suppress(tomllib.TOMLDecodeError):
        return tomllib.loads(f"value = {text}")["value"]
    return text


# What pydantic calls by the names of Python's types, in the words of the file.
SHAPES = {
    "tuple_type": 'must be a list, such as ["a", "b"]',
    "list_type": 'must be a list, such as ["a", "b"]',
    "dict_type": 'must be names with values, such as {a = "b"}',
    "model_type": 'must be names with values, such as {a = "b"}',
    "extra_forbidden": "is no known key",
}
ALTERNATIVE = re.compile(r"(constrained-)?(float|int|str)|literal\[.*\]")  # of a key that takes this or that


def _explain(problems: Sequence[Any], given: Mapping[str, str], origin: str) -> list[str]:
    """One line for each wrong value: where it came from, its key, what is wrong, and the value."""
    lines: dict[str, list[str]] = {}
    found: dict[str, str] = {}
    for problem in problems:
        where = ".".join(str(part) for part in problem["loc"] if not ALTERNATIVE.fullmatch(str(part)))
        message = problem["msg"].removeprefix("Value error, ").replace("Input should be", "must be", 1)
        message = SHAPES.get(problem["type"], message)
        value = problem.get("input")
        lines.setdefault(where, []).append(message)
        if not isinstance(value, dict | BaseModel) and "found" not in message:
            found[where] = f" (found {shown_source(json.dumps(value, ensure_ascii=False, default=str))})"
    places = {where: [_source_of(where, given, origin), *([where] if where else [])] for where in lines}
    return [
        f"{': '.join(places[where])}: {', or '.join(messages)}{found.get(where, '')}"
        for where, messages in lines.items()
    ]


def _source_of(where: str, given: Mapping[str, str], origin: str) -> str:
    """The flag or variable that gave a value, or the file; for a section all that had a hand in it."""
    key = ".".join(where.split(".")[:2])
    if key in given:
        return given[key]
    return ", ".join([origin, *(source for name, source in given.items() if name.startswith(f"{key}."))])
