"""The store from the outside: what is live, what is refused, what there is to go back to, what is kept."""

import json
import os
import pickle
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tests.registry.models import at, make_card, make_pickle, open_store, put_live

from evergreen.errors import BusyError, IntegrityError, UsageError
from evergreen.files import digest_of
from evergreen.registry import journal
from evergreen.registry.comparisons import write_comparison
from evergreen.registry.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "model")


@pytest.fixture
def three(store: Store) -> Store:
    """Versions 1, 2 and 3 went live an hour apart."""
    for number, name in enumerate(("first", "second", "third")):
        put_live(store, name, number)
    return store


def digest(name: str) -> str:
    return digest_of(make_pickle(name))


def rollback(store: Store, to: str = "", hours: float = 10, **more: str) -> journal.Entry:
    with store.lock():
        return store.rollback(to, now=at(hours), reason="worse", actor="tester", **more)


def backup_of(store: Store, name: str) -> Path:
    return next(each.path for each in store.backups() if each.digest == digest(name))


def events(store: Store) -> list[str]:
    return [entry.event for entry in store.entries()]


# Going live


def test_a_new_store_has_no_model_and_says_how_to_get_one(store):
    assert (store.live_digest(), store.live(), store.predecessor(), store.backups()) == (None, None, None, ())
    assert store.verify() == []
    assert store.reconcile(at(0)) == ()
    with pytest.raises(IntegrityError, match=r"there is no model. Train the first one: python src/continuous_training"):
        store.load_live()


def test_a_deployed_model_is_live_with_its_card_and_opens_with_plain_pickle(three):
    model, card = three.load_live()
    assert model == pickle.loads(three.model_path.read_bytes()) == pickle.loads(make_pickle("third"))
    assert (card.version, card.digest, card.parent) == (3, digest("third"), digest("second"))
    live = three.live()
    assert (live.since, live.reason) == ("2026-11-21T22:09:39Z", "third is better")
    assert three.verify() == []


def test_the_first_deploy_backs_up_nothing_and_each_later_one_the_model_that_it_replaces(three):
    kept = [(each.path.name, each.digest) for each in three.backups()]
    assert kept == [
        ("model_backup_20261121_220939.pkl", digest("second")),
        ("model_backup_20261121_210939.pkl", digest("first")),
    ]


def test_two_deploys_within_a_second_keep_two_backups_in_order(store):
    for name in ("first", "second", "third"):
        put_live(store, name, 0)
    assert [each.digest for each in store.backups()] == [digest("second"), digest("first")]
    assert store.verify() == []


def test_versions_count_up_and_a_deploy_that_was_given_up_keeps_its_number(three):
    assert three.next_version() == 4
    three.record("intent", at(5), goal="deploy", digest="0" * 64, version=4, replaced=digest("third"))
    three.reconcile(at(6))
    assert events(three)[-1] == "abandoned"
    assert three.next_version() == 5


def test_a_decision_made_about_another_model_is_refused_and_changes_nothing(three):
    content = make_pickle("fourth")
    three.stage(content, make_card(content, 4))
    before = three.entries()
    for expected in (digest("second"), None):
        with pytest.raises(IntegrityError, match="The decision is stale and nothing was changed; run again"):
            three.deploy(digest("fourth"), expected_live=expected, now=at(5), reason="better", actor="tester")
    assert three.live_digest() == digest("third")
    assert three.entries() == before


def test_a_challenger_that_was_not_staged_or_was_altered_is_not_deployed(three):
    with pytest.raises(IntegrityError, match="there is no intact challenger"):
        three.deploy(digest("fourth"), expected_live=digest("third"), now=at(5), reason="", actor="tester")
    content = make_pickle("fourth")
    three.stage(content, make_card(content, 4))
    (three.staging / f"{digest('fourth')}.pkl").write_bytes(content[:-5] + b"xxxx.")
    with pytest.raises(IntegrityError, match="there is no intact challenger"):
        three.deploy(digest("fourth"), expected_live=digest("third"), now=at(5), reason="", actor="tester")


def test_a_card_of_another_model_can_not_be_staged(store):
    with pytest.raises(IntegrityError, match="The card says"):
        store.stage(make_pickle("one"), make_card(make_pickle("two")))


def test_a_new_challenger_takes_the_place_of_the_one_before_and_the_live_model_keeps_its_copy(three):
    for name in ("fourth", "fifth"):
        three.stage(make_pickle(name), make_card(make_pickle(name), 4))
    staged = {path.stem for path in three.staging.glob("*.pkl")}
    assert staged == {digest("third"), digest("fifth")}


# Knowing what is live


def test_a_backup_copied_over_the_live_model_just_works_and_is_told_once(three):
    shutil.copy(backup_of(three, "first"), three.model_path)
    model, card = three.load_live()
    assert (model["name"], card.version) == ("first", 1)
    assert [entry.event for entry in three.reconcile(at(5))] == ["restored"]
    assert three.reconcile(at(6)) == ()
    entry = three.entries()[-1]
    assert (entry.get("digest"), entry.get("replaced")) == (digest("first"), digest("third"))
    assert three.live().since == "2026-11-22T01:09:39Z"
    assert three.verify() == []


def test_the_model_that_was_overwritten_by_hand_is_not_lost(three):
    shutil.copy(backup_of(three, "first"), three.model_path)
    three.reconcile(at(5))
    rollback(three, "3")
    assert three.load_live()[0]["name"] == "third"


def test_an_unknown_live_model_is_refused_with_both_remedies(three):
    three.model_path.write_bytes(make_pickle("foreign"))
    for reading in (three.load_live, three.live, lambda: three.reconcile(at(5))):
        with pytest.raises(IntegrityError) as refusal:
            reading()
        assert f"python src/rollout.py adopt {three.model_path}" in str(refusal.value)
        assert "python src/rollout.py rollback" in str(refusal.value)
    assert any("is not known here" in problem for problem in three.verify())


def test_rolling_back_from_an_unknown_model_returns_to_the_last_known_and_sets_the_unknown_aside(three):
    three.model_path.write_bytes(make_pickle("foreign"))
    rollback(three)
    assert three.load_live()[0]["name"] == "third"
    assert (three.backups_folder / "unknown_20261122_060939.pkl").read_bytes() == make_pickle("foreign")
    assert all(each.problem == "" for each in three.backups())
    assert three.verify() == []


def test_a_live_model_that_is_gone_is_said_and_put_back_by_a_rollback(three):
    three.model_path.unlink()
    with pytest.raises(IntegrityError, match="the live model is gone; version 3 should be there"):
        three.reconcile(at(5))
    rollback(three)
    assert three.load_live()[0]["name"] == "third"


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
def test_anything_but_a_plain_file_in_place_of_the_model_is_refused(kind, three, tmp_path):
    victim = tmp_path / "victim.pkl"
    victim.write_bytes(make_pickle("third"))
    three.model_path.unlink()
    make = {"link": lambda: three.model_path.symlink_to(victim), "folder": three.model_path.mkdir}
    make.get(kind, lambda: os.mkfifo(three.model_path))()
    for reading in (three.load_live, three.live, lambda: three.reconcile(at(5))):
        with pytest.raises(IntegrityError, match="expected a regular file"):
            reading()
    assert any("expected a regular file" in problem for problem in three.verify())


def test_a_rollback_replaces_a_link_and_leaves_what_it_points_to_alone(three, tmp_path):
    victim = tmp_path / "victim.txt"
    victim.write_text("mine")
    three.model_path.unlink()
    three.model_path.symlink_to(victim)
    rollback(three)
    assert not three.model_path.is_symlink()
    assert victim.read_text() == "mine"
    assert three.load_live()[0]["name"] == "third"


def test_a_live_model_whose_card_is_missing_or_another_models_is_refused(three):
    path = three.cards_folder / f"{digest('third')}.json"
    path.write_bytes((three.cards_folder / f"{digest('second')}.json").read_bytes())
    with pytest.raises(IntegrityError, match="this is the card of model"):
        three.load_live()
    path.unlink()
    with pytest.raises(IntegrityError, match="is not known here"):
        three.load_live()


# Going back


def test_rolling_back_returns_to_the_model_before_and_keeps_the_one_it_leaves(three):
    entry = rollback(three)
    assert (entry.event, entry.get("version"), entry.get("reason"), entry.get("actor")) == (
        "rollback", 2, "worse", "tester",
    )  # fmt: skip
    assert three.load_live()[0]["name"] == "second"
    assert backup_of(three, "third").exists()
    assert three.verify() == []


def test_rolling_back_twice_goes_back_two_models(three):
    rollback(three)
    rollback(three, hours=11)
    assert three.load_live()[0]["name"] == "first"
    with pytest.raises(UsageError, match="there is nothing to roll back to"):
        rollback(three, hours=12)
    rollback(three, "3", hours=13)
    assert three.load_live()[0]["name"] == "third"
    assert three.predecessor() == digest("first")


def test_after_a_rollback_a_new_deploy_has_the_model_rolled_back_to_behind_it(three):
    rollback(three)
    put_live(three, "fourth", 12)
    assert three.predecessor() == digest("second")
    assert three.load_live()[1].version == 4


@pytest.mark.parametrize("name", ["1", "v1", "digest"])
def test_a_rollback_goes_to_a_version_or_a_digest(name, three):
    rollback(three, digest("first")[:8] if name == "digest" else name)
    assert three.load_live()[0]["name"] == "first"


@pytest.mark.parametrize("name", ["9", "v", "abcdef", "../../etc/passwd", "model.pkl", "1\n", "*", "", "ABCDEF" * 20])
def test_a_target_that_is_not_known_is_refused_and_the_known_ones_are_listed(name, three):
    with pytest.raises(UsageError, match=r"is not known here. Known are: version 1 \([0-9a-f]{12}\), version 2"):
        three.resolve(name)


def test_a_prefix_that_fits_two_models_asks_for_more(three):
    twin = digest("first")[:8] + "0" * 56
    (three.cards_folder / f"{twin}.json").write_text("{}")
    with pytest.raises(UsageError, match="fits 2 models; give more digits"):
        three.resolve(digest("first")[:8])


def test_rolling_back_to_the_live_model_or_to_one_that_is_not_kept_changes_nothing(three):
    with pytest.raises(UsageError, match=r"version 3 \(.*\) is live already"):
        rollback(three, "3")
    backup_of(three, "first").write_bytes(b"damaged")
    with pytest.raises(IntegrityError, match=r"no intact copy of version 1 .*Kept are: version 2"):
        rollback(three, "1")
    assert three.load_live()[0]["name"] == "third"
    assert "rollback" not in events(three)


def test_a_rollback_decided_about_another_model_is_refused(three):
    with pytest.raises(IntegrityError, match="The decision is stale"):
        rollback(three, expected_live=digest("second"))
    assert rollback(three, expected_live=digest("third")).get("version") == 2


def test_the_first_model_has_nothing_to_go_back_to(store):
    put_live(store, "first")
    with pytest.raises(UsageError, match="there is nothing to roll back to: no other model was live before"):
        rollback(store)


def test_the_predecessor_can_be_opened_to_be_watched(three):
    model, card = three.load(three.predecessor())
    assert (model["name"], card.version) == ("second", 2)


# Keeping


def test_the_newest_backups_stay_and_older_ones_go(tmp_path):
    store = open_store(tmp_path / "model", keep_backups=3)
    for number in range(7):
        put_live(store, f"model {number}", number)
    assert [each.digest for each in store.backups()] == [digest(f"model {number}") for number in (5, 4, 3)]


def test_champion_predecessor_and_pinned_models_are_kept_whatever_their_age(tmp_path):
    store = open_store(tmp_path / "model", keep_backups=1, pinned=("1", digest("model 2")[:10]))
    for number in range(5):
        put_live(store, f"model {number}", number)
    kept = [each.digest for each in store.backups()]
    assert kept == [digest("model 3"), digest("model 2"), digest("model 0")]
    rollback(store, "1")
    for number in range(5, 8):
        put_live(store, f"model {number}", number + 10)
    assert digest("model 0") in {each.digest for each in store.backups()}


def test_after_a_rollback_the_way_further_back_is_kept_though_two_newer_backups_fill_the_places(tmp_path):
    store = open_store(tmp_path / "model", keep_backups=2)
    for number, name in enumerate(("first", "second", "third")):
        put_live(store, name, number)
    rollback(store)
    assert [each.digest for each in store.backups()] == [digest("third"), digest("second"), digest("first")]
    rollback(store, hours=11)
    assert store.load_live()[0]["name"] == "first"


def test_a_pinned_name_that_is_not_known_is_a_warning_and_no_error(tmp_path, caplog):
    store = open_store(tmp_path / "model", pinned=("77",))
    put_live(store, "first")
    assert "registry.pinned: Model '77' is not known here" in caplog.text


def test_copies_of_one_model_count_once(tmp_path):
    store = open_store(tmp_path / "model", keep_backups=2)
    put_live(store, "first", 0)
    put_live(store, "second", 1)
    for hours in range(2, 8):
        rollback(store, "1" if hours % 2 == 0 else "2", hours)
    assert sorted(each.digest for each in store.backups()) == sorted([digest("first"), digest("second")])


def test_damaged_backups_neither_take_a_place_nor_go(tmp_path):
    store = open_store(tmp_path / "model", keep_backups=2)
    for number in range(3):
        put_live(store, f"model {number}", number)
    damaged = [store.backups_folder / f"model_backup_2027010{day}_000000.pkl" for day in (1, 2)]
    for path in damaged:
        path.write_bytes(path.name.encode())
    put_live(store, "model 3", 3)
    good = [each.digest for each in store.backups() if not each.problem]
    assert good == [digest("model 2"), digest("model 1")]
    assert all(path.exists() for path in damaged)


def test_only_files_named_like_backups_are_backups(three):
    for name in (
        "model_backup_2026.pkl",
        "unknown_20261121_200939.pkl",
        "notes.txt",
        "model_backup_20261121_200939.pkl.bak",
    ):
        (three.backups_folder / name).write_bytes(make_pickle("first"))
    assert len(three.backups()) == 2


# Verifying


def test_verify_finds_each_kind_of_tampering(three):
    backup_of(three, "second").write_bytes(b"damaged")
    card = three.cards_folder / f"{digest('first')}.json"
    card.write_text(card.read_text().replace('"value":0.85', '"value":0.99'))
    problems = "\n".join(three.verify())
    assert "is not known here; the file was changed or is foreign" in problems
    assert "the card was changed after its model went live" in problems
    assert "has no intact copy: there is no way back to it" in problems


def test_verify_finds_two_backups_that_changed_places(three):
    one, two = backup_of(three, "first"), backup_of(three, "second")
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)
    problems = three.verify()
    assert len(problems) == 2
    assert all("was backed up here, now it holds" in problem for problem in problems)


def test_verify_finds_a_backup_that_is_a_link(three, tmp_path):
    path = backup_of(three, "first")
    path.rename(tmp_path / "elsewhere.pkl")
    path.symlink_to(tmp_path / "elsewhere.pkl")
    assert any("expected a regular file, found a link" in problem for problem in three.verify())
    with pytest.raises(IntegrityError, match="no intact copy"):
        rollback(three, "1")


def test_verify_changes_nothing(three):
    before = {path: path.read_bytes() for path in three.folder.rglob("*") if path.is_file()}
    three.verify()
    assert before == {path: path.read_bytes() for path in three.folder.rglob("*") if path.is_file()}


def test_leftovers_of_killed_writers_are_removed_and_nothing_else(three):
    for folder in (three.folder, three.cards_folder, three.staging, three.backups_folder):
        (folder / ".model.pkl.0123456789ab.tmp").write_bytes(b"half")
    (three.folder / "notes.tmp").write_text("mine")
    three.reconcile(at(5))
    assert [path.name for path in three.folder.rglob("*.tmp")] == ["notes.tmp"]


# Opening


def test_another_scikit_learn_minor_version_is_a_warning_that_names_both(store, caplog, monkeypatch):
    put_live(store, "first", libraries={"scikit-learn": "1.2.3", "numpy": "2.0.0"})
    monkeypatch.setattr("importlib.metadata.version", {"scikit-learn": "1.9.1", "numpy": "2.0.0"}.get)
    store.load_live()
    assert "trained with scikit-learn 1.2.3, installed is 1.9.1" in caplog.text


def test_another_patch_version_is_no_warning(store, caplog, monkeypatch):
    put_live(store, "first", libraries={"scikit-learn": "1.9.0"})
    monkeypatch.setattr("importlib.metadata.version", {"scikit-learn": "1.9.1"}.get)
    store.load_live()
    assert "scikit-learn" not in caplog.text


def test_a_model_that_can_not_be_opened_names_both_versions_and_the_remedy(store):
    content = b"cjson.no_such_module\nThing\n."
    card = replace(make_card(content), libraries={"scikit-learn": "1.2.3"}, python="3.9.1")
    store.stage(content, card)
    store.deploy(card.digest, expected_live=None, now=at(0), reason="", actor="tester")
    with pytest.raises(IntegrityError) as refusal:
        store.load_live()
    for part in ("trained with scikit-learn 1.2.3, installed is", "Python 3.9.1", "Install the versions", "rollback"):
        assert part in str(refusal.value)


def test_a_model_that_can_not_be_opened_with_the_same_versions_tells_the_error(store):
    content = b"cno_such_module\nThing\n."
    store.stage(content, make_card(content))
    store.deploy(digest_of(content), expected_live=None, now=at(0), reason="", actor="tester")
    with pytest.raises(IntegrityError, match="ModuleNotFoundError: No module named 'no_such_module'"):
        store.load_live()


def test_everything_but_opening_a_model_does_without_the_heavy_libraries(three):
    code = f"""
import sys
from pathlib import Path
from tests.registry.models import at, open_store
store = open_store(Path({str(three.folder)!r}))
with store.lock():
    store.reconcile(at(5)); store.live(); store.verify(); store.backups(); store.prune()
    store.rollback(now=at(6), reason="worse", actor="tester")
print({{"numpy", "pandas", "sklearn", "scipy", "pyarrow"}} & set(sys.modules))
"""
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": f"{root / 'src'}:{root}"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


# Lock and comparisons


def test_a_second_holder_is_turned_away_and_the_lock_is_free_again_afterwards(store):
    with store.lock(), pytest.raises(BusyError, match=r"Another run holds the lock .*; nothing was done"), store.lock():
        pass
    with store.lock():
        pass


def test_a_comparison_is_filed_under_its_run(store):
    path = write_comparison(store.folder, "20261121T200939Z-1a2b", {"winner": "champion", "reasons": ["größer"]})
    assert path == store.folder / "comparisons" / "comparison_20261121T200939Z-1a2b.json"
    assert json.loads(path.read_text()) == {"winner": "champion", "reasons": ["größer"]}


@pytest.mark.parametrize("run", ["../x", "", ".hidden", "a/b", "a\n", "a" * 65, "%2e%2e", "C:\\x", "a\0"])
def test_a_run_name_that_could_lead_elsewhere_is_refused(run, store):
    with pytest.raises(UsageError, match="can't name a run"):
        write_comparison(store.folder, run, {})
    assert not store.folder.exists()


def test_a_comparison_with_a_number_that_json_does_not_know_is_an_error(store):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_comparison(store.folder, "run", {"gain": float("nan")})


def test_a_run_that_could_not_write_its_line_gets_one_and_patience_counts_it(store):
    from evergreen.policy import PastRun, read_past

    put_live(store, "a")
    content = make_pickle("b")
    store.stage(content, make_card(content, 2, parent=store.live_digest()))
    store.deploy(
        digest_of(content), expected_live=store.live_digest(), now=at(1), reason="x", actor="monitor", run="r1"
    )
    added = store.reconcile(at(2))
    assert [(entry.event, entry.get("run"), entry.get("deployed")) for entry in added] == [("run", "r1", True)]
    assert store.reconcile(at(3)) == ()
    assert read_past(journal.past_runs(store.entries())) == (PastRun(wanted=True, retrained=True, deployed=True),)
    assert store.verify() == []
