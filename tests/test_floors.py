"""The house has floors, and arrows point down: read from the imports themselves."""

import ast
import sys
from pathlib import Path

import pytest

SRC = Path(__file__).parent.parent / "src"
FLOORS = [
    {"errors"},
    {"files", "by_name", "masking", "verdicts", "wording"},
    {"settings"},
    {"config_file"},
    {"data"},
    {"scoring"},
    {"drift", "training"},
    {"registry"},
    {"policy", "slots", "monitoring"},
    {"replay"},
    {"reporting"},
    {"serving"},
]
MODULES = sorted(SRC.rglob("*.py"))


def floor_of(part: str) -> int:
    return next(number for number, parts in enumerate(FLOORS) if part in parts)


def part_of(path: Path) -> str:
    return path.relative_to(SRC / "evergreen").parts[0].removesuffix(".py")


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SRC)))
def test_a_part_imports_only_from_floors_below_it_or_its_own_part(path):
    scripts = {script.stem for script in SRC.glob("*.py")}
    for name in imports_of(path):
        words = name.split(".")
        if path.is_relative_to(SRC / "evergreen") and path.name != "__init__.py":
            assert words[0] not in scripts, f"{path} imports the script {name}"
            if words[0] == "evergreen" and len(words) > 1:
                mine, other = part_of(path), words[1]
                assert other == mine or floor_of(other) < floor_of(mine), f"{path} imports {name}"


def test_no_module_hides_one_of_the_standard_library():
    top = {path.stem for path in SRC.glob("*.py")} | {path.stem for path in SRC.parent.glob("*.py")}
    assert not top & sys.stdlib_module_names


FORBIDDEN_BELOW = {
    ("os", "environ"),
    ("os", "getenv"),
    ("sys", "argv"),
    ("datetime", "now"),
    ("datetime", "today"),
    ("time", "time"),
}


@pytest.mark.parametrize(
    "path", [path for path in MODULES if "evergreen" in path.parts], ids=lambda path: str(path.relative_to(SRC))
)
def test_only_scripts_read_the_clock_the_environment_and_the_command_line(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            assert (node.value.id, node.attr) not in FORBIDDEN_BELOW, f"{path}:{node.lineno}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "print", f"{path}:{node.lineno} prints"


@pytest.mark.parametrize(
    "path", [path for path in MODULES if "evergreen" in path.parts], ids=lambda path: str(path.relative_to(SRC))
)
def test_only_one_module_opens_files_for_writing(path):
    if path.name == "files.py":
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute):
            assert node.attr not in {"write_text", "write_bytes"}, f"{path}:{node.lineno} writes a file by itself"
