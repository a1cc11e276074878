"""The model before the live one on watch, run after run: each look is on record, and each may spend less."""

import json

import pandas as pd
from projects import make_project, run, world, write_table

import monitor
from evergreen.monitoring import predecessor

OLD = world(3000, seed=1)
FLIPPED = world(3000, start="2025-02-01", seed=3, flip=True)


def looks_on_record(folder):
    paths = sorted((folder / "model" / "comparisons").glob("comparison_*.watch.json"))
    records = [json.loads(path.read_text()) for path in paths]
    assert [path.stem.removeprefix("comparison_") for path in paths] == [record["run"] for record in records]
    return sorted(records, key=lambda record: record["look"])


def test_every_look_at_the_predecessor_is_on_record_and_the_kth_spends_a_smaller_share(tmp_path, capsys, monkeypatch):
    spent = []

    def compare(*words, candidates, **more):
        spent.append(candidates)
        return found(*words, candidates=candidates, **more)

    found = predecessor.compare
    monkeypatch.setattr(predecessor, "compare", compare)
    config = make_project(tmp_path / "project", OLD)
    run(monitor, capsys, config)
    tables = [OLD, FLIPPED]
    for seed, start in enumerate([None, "2025-03-01", "2025-03-15"]):
        tables += [world(1500, start=start, seed=seed, flip=True)] if start else []
        write_table(config.parent, pd.concat(tables))
        _, document = run(monitor, capsys, config)
        assert document["deployed"] == (start is None)
    assert spent == [1 * 2, 2 * 3]
    first, second = looks_on_record(config.parent)
    assert (first["look"], second["look"]) == (1, 2)
    assert not first["rolled_back"]
    assert second["run"] == f"{document['run']}.watch"
    assert document["watch"] == second["comparison"] | {"rolled_back": False}


def test_the_return_of_the_predecessor_is_on_record(tmp_path, capsys):
    config = make_project(tmp_path / "project", OLD)
    run(monitor, capsys, config)
    write_table(config.parent, pd.concat([OLD, FLIPPED]))
    run(monitor, capsys, config)
    write_table(config.parent, pd.concat([OLD, FLIPPED, world(1500, start="2025-03-01", seed=7)]))
    _, document = run(monitor, capsys, config)
    (record,) = looks_on_record(config.parent)
    assert document["rolled_back"]
    assert record["rolled_back"]
    assert record["comparison"]["winner"] == "challenger"
