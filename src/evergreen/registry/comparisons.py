"""The decision records: one file for each comparison of two models, reasons in words."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evergreen import files
from evergreen.errors import UsageError

RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def write_comparison(folder: Path, run: str, document: Mapping[str, Any]) -> Path:
    """File the decision record of a comparison; returns where."""
    if not RUN.fullmatch(run):
        raise UsageError(f"'{run}' can't name a run; use letters, digits, '.', '_' and '-', at most 64.")
    path = folder / "comparisons" / f"comparison_{run}.json"
    files.write_atomic(path, json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    return path
