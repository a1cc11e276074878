"""Measure on simulated and real data what the verdicts promise: false alarms, power, delays, costs.

    python validation/run.py                          all chapters: hours, most of them for the policies
    python validation/run.py drift promotion          some of them
    python validation/run.py --effort 0.05            a twentieth of the runs
    python validation/run.py --out validation.md      write the tables to a file too

Everything is judged by the product's own functions. The same seed gives the same figures with any number of processes.
Exits with 1 when a target is missed. Chapters: drift, performance, estimates, promotion, policies.
The real tables of the chapter on policies are read from the folder named by EVERGREEN_DATA.
"""

import argparse
import importlib
import os
import sys
from pathlib import Path

CHAPTERS = ("drift", "performance", "estimates", "promotion", "policies")
PROJECT = Path(__file__).resolve().parent.parent


def main(argv: list[str] | None = None) -> int:
    """Print a table for each chapter, and write them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("chapters", nargs="*", metavar="CHAPTER", help=", ".join(CHAPTERS))
    parser.add_argument("--effort", type=float, default=1.0, help="share of the usual runs (default 1)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=-1, help="processes; -1 = all processors")
    parser.add_argument("--out", type=Path, metavar="FILE")
    arguments = parser.parse_args(argv)
    if unknown := set(arguments.chapters) - set(CHAPTERS):
        parser.error(f"no chapter {', '.join(sorted(unknown))}; there are {', '.join(CHAPTERS)}")
    # The project is not installed, and the processes that joblib starts know no other path than this one.
    sys.path[:0] = [str(PROJECT / "src"), str(PROJECT / "validation")]
    os.environ["PYTHONPATH"] = os.pathsep.join([*sys.path[:2], os.environ.get("PYTHONPATH", "")])
    importlib.import_module("utils").avoid_slow_sorting()
    lines, missed = [], 0
    for name in arguments.chapters or CHAPTERS:
        text, failed = run_chapter(name, arguments.effort, arguments.seed, arguments.jobs)
        lines.append(text)
        missed += failed
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text("\n".join(lines))
    return 1 if missed else 0


def run_chapter(name: str, effort: float, seed: int, jobs: int) -> tuple[str, int]:
    """The table of a chapter, shown row by row, and how many targets were missed."""
    from checks import make, table

    chapter = importlib.import_module(name)
    heading = f"## {name}\n\nSeed {seed}.\n"
    print(heading, flush=True)
    findings = []
    for check in chapter.CHECKS:
        findings.append(make(check, effort, seed, jobs))
        print("\n".join(list(table(findings))[0 if len(findings) == 1 else -1 :]), flush=True)
    print(flush=True)
    return "\n".join([heading, *table(findings), ""]), sum(one.verdict == "missed" for one in findings)


if __name__ == "__main__":
    raise SystemExit(main())
