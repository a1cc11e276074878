"""The challenger in shadow: kept apart, watched for its time, never live, forgotten when it has said its say."""

import pytest
from tests.registry.models import at, make_card, make_pickle, open_store, put_live

from evergreen.drift.excess import ShadowFinding
from evergreen.files import digest_of
from evergreen.monitoring.shadow import (
    forget_shadow,
    keep_shadow,
    open_shadow,
    refuse_shadow,
    shadow_document,
    shadow_folder,
    shadow_is_due,
    shadow_on_record,
)
from evergreen.settings import PolicySettings

COST = PolicySettings(preset="cost", shadow_every=3)
CONTRACT = {"columns": [], "target": None, "task": "classification"}


@pytest.fixture
def store(tmp_path):
    made = open_store(tmp_path / "model")
    put_live(made, "champion")
    return made


def night(store, hours, **content):
    store.record("run", at(hours), **{"run": f"r{hours}", "news": True} | content)


def keep(store, name, hours):
    content = make_pickle(name)
    keep_shadow(store, content, make_card(content, 7), now=at(hours), run=f"r{hours}")
    return digest_of(content)


def test_it_lies_apart_from_challengers_that_wait_for_approval(store):
    digest = keep(store, "shadow", 1)
    assert store.challenger() is None
    assert store.live_digest() != digest
    assert {path.name for path in shadow_folder(store).iterdir()} == {f"{digest}.pkl", f"{digest}.json"}
    waiting = make_pickle("waiting")
    store.stage(waiting, make_card(waiting, 2))
    assert store.challenger().digest == digest_of(waiting)
    assert shadow_on_record(store.entries()) == digest


def test_it_takes_no_version_and_goes_into_no_history_of_models(store):
    before = store.next_version()
    keep(store, "shadow", 1)
    assert store.next_version() == before
    assert store.verify() == []


def test_a_new_one_takes_the_place_of_the_one_before(store):
    keep(store, "one", 1)
    digest = keep(store, "two", 2)
    assert shadow_on_record(store.entries()) == digest
    assert {path.stem for path in shadow_folder(store).iterdir()} == {digest}


@pytest.mark.parametrize("end", ["a challenger is tried", "another model goes live", "none passed the gates"])
def test_its_time_is_over_when(store, end):
    keep(store, "shadow", 1)
    night(store, 1)
    assert shadow_on_record(store.entries())
    if end == "a challenger is tried":
        night(store, 2, retrained=True)
    elif end == "another model goes live":
        put_live(store, "next", 2)
    else:
        refuse_shadow(store, ["too large"], now=at(2), run="r2")
    assert shadow_on_record(store.entries()) is None
    assert open_shadow(store) is None
    assert list(shadow_folder(store).glob("*")) == []


def test_one_that_is_gone_or_was_changed_is_not_opened(store):
    digest = keep(store, "shadow", 1)
    path = shadow_folder(store) / f"{digest}.pkl"
    path.write_bytes(path.read_bytes() + b"\0")
    assert open_shadow(store) is None
    path.unlink()
    assert open_shadow(store) is None
    forget_shadow(store)
    assert open_shadow(store) is None


def test_another_is_due_every_so_many_runs_with_news(store):
    assert not shadow_is_due(store, COST)
    due = []
    for hours in range(1, 5):
        night(store, hours)
        due.append(shadow_is_due(store, COST))
    assert due == [False, False, True, True]
    keep(store, "shadow", 5)
    night(store, 5)
    night(store, 6, news=False)
    assert not shadow_is_due(store, COST)
    night(store, 7)
    assert not shadow_is_due(store, COST)
    night(store, 8)
    assert shadow_is_due(store, COST), "three runs after the one that trained the last"
    night(store, 9, retrained=True)
    assert not shadow_is_due(store, COST)


@pytest.mark.parametrize(
    "policy",
    [
        PolicySettings(shadow_every=1),
        PolicySettings(preset="cost", shadow_every=0),
        PolicySettings(preset="cost", shadow_every=1, mode="advise"),
    ],
)
def test_without_the_preset_by_cost_or_with_0_or_where_nothing_is_trained_none_is_ever_due(store, policy):
    for hours in range(1, 30):
        night(store, hours)
    assert not shadow_is_due(store, policy)


def test_one_whose_file_is_gone_is_trained_again_at_once(store):
    keep(store, "shadow", 1)
    night(store, 1)
    assert not shadow_is_due(store, COST)
    forget_shadow(store)
    assert shadow_is_due(store, COST)


def test_the_run_that_put_a_challenger_there_does_not_end_its_time(store):
    """Its comparison was undecided: the line of the run follows, and says that a challenger was tried."""
    digest = keep(store, "undecided", 1)
    night(store, 1, retrained=True, outcome="rejected")
    night(store, 2)
    assert shadow_on_record(store.entries()) == digest
    night(store, 3, retrained=True, outcome="rejected")
    night(store, 4)
    assert shadow_on_record(store.entries()) is None


def test_the_document_says_what_it_would_have_saved():
    assert shadow_document(None, (), COST) is None
    told = shadow_document(ShadowFinding(12.5, 900, "ab" * 32, "2026-11-21T20:09:39Z"), (), COST)
    assert (told["advantage"], told["rows"], told["limit"]) == (12.5, 900, 20.0)
    assert "would have saved 12.5 on 900 labelled rows; 20 would pay for a retraining" in told["reasons"][0]
    assert shadow_document(None, ("A challenger was trained.",), COST)["reasons"] == ["A challenger was trained."]
