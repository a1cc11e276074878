"""Small projects for tests of whole commands: a settings file, a table, and a folder for the models."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd

PROJECT = Path(__file__).parent.parent
QUICK = "params = {max_iter = 30}\n"


def make_project(folder, frame, *, target="y", time="at", **sections):
    """Write `table.csv` and `config.toml`; `sections` maps a section to the text of its lines. Returns the config."""
    folder.mkdir(parents=True, exist_ok=True)
    write_table(folder, frame)
    data = f'source = "table.csv"\ntarget = "{target}"\ntime = "{time}"\n' + sections.pop("data", "")
    training = sections.pop("training", QUICK)
    texts = {"data": data, "training": training, **sections}
    config = folder / "config.toml"
    config.write_text("\n".join(f"[{section}]\n{text}" for section, text in texts.items()))
    return config


def write_table(folder, frame):
    frame.to_csv(folder / "table.csv", index=False)


def world(rows, *, start="2025-01-01", shift=0.0, flip=False, noise=0.1, seed=0, step="10min"):
    """Two numbers, a category and a yes/no outcome that depends on them; `flip` turns the dependence round."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(shift, 1, rows), rng.normal(0, 1, rows)
    plan = rng.choice(["basic", "plus", "pro"], rows, p=[0.5, 0.3, 0.2])
    truth = (a - shift + 0.5 * b + (plan == "pro") > 0) ^ flip
    wrong = rng.random(rows) < noise
    return pd.DataFrame(
        {
            "at": pd.date_range(start, periods=rows, freq=step),
            "a": a.round(4),
            "b": b.round(4),
            "plan": plan,
            "y": np.where(truth ^ wrong, "yes", "no"),
        }
    )


def tree(folder):
    """Every file below a folder with the digest of its content."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def journal(folder):
    path = folder / "model" / "history.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def events(folder):
    return [line["event"] for line in journal(folder) if line["event"] != "intent"]


def run(script, capsys, config, *words):
    """Run a script's `main` on a project; returns its exit code and its JSON."""
    capsys.readouterr()
    code = script.main(["--config", str(config), "--json", *words])
    shown = capsys.readouterr().out
    return code, json.loads(shown) if shown else None
