"""What a name in the configuration stands for: `module:function` or `package.Class`, often in the user's own code."""

import importlib
import sys
from pathlib import Path
from typing import Any

from evergreen.errors import UsageError


def find_by_name(name: str, root: Path, *, setting: str) -> Any:
    """The function or class behind a name; its module is installed or lies in `root`.

    Raises `UsageError` naming the `setting` when there is no such module, or nothing of that name in it.

    >>> find_by_name("json:loads", Path(), setting="data.source")("[1]")
    [1]
    """
    module, _, attribute = name.rpartition(":" if ":" in name else ".")
    if not module:
        raise UsageError(f"{setting} = '{name}': expected 'module:function' or 'package.Class'.")
    make_importable(root)
    try:
        return getattr(importlib.import_module(module), attribute)
    except ImportError as error:
        raise UsageError(
            f"{setting} = '{name}': can't import {module} ({error}). It has to be installed, or lie in {root}."
        ) from error
    except AttributeError:
        raise UsageError(f"{setting} = '{name}': {module} has no '{attribute}'.") from None


def make_importable(root: Path) -> None:
    """Let Python find the user's own modules in `root`, for as long as the process lives; they hide no others.

    Pickles of the user's own classes need it as much as names do, whenever they are opened.
    """
    if str(root.resolve()) not in sys.path:
        sys.path.append(str(root.resolve()))
