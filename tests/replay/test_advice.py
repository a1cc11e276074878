"""The choice of a policy: made on the first part, held against the rest, and not moved by luck."""

import tomllib
from types import SimpleNamespace

import numpy as np
import pytest

from evergreen.replay.advice import advise, choose, config_lines, late_blocks, spent_by_block, sureness, why_no_advice
from evergreen.replay.plays import Play
from evergreen.replay.policies import Policy, choose_policies
from evergreen.replay.replaying import Outcome, Replayed
from evergreen.settings import Settings

BLOCKS = 60


def outcome(name, mean, seed, *, retrained=(), spread=4.0):
    costs = np.random.default_rng(seed).normal(mean, spread, BLOCKS) if np.isscalar(mean) else np.asarray(mean, float)
    watches = not name.startswith(("never", "every"))
    period = int(name.split("-")[1]) if name.startswith("every") else 0
    policy = Policy(name, name, {"preset": name} if watches else None, period)
    return Outcome(policy, Play(name, 5, (), ()), costs, costs, tuple(retrained), (), (), 0)


def replayed(*outcomes, price=20.0, late=0, first=5):
    edges = np.arange(0, 100 * (BLOCKS + 6), 100)
    known = edges[np.maximum(np.arange(len(edges)) - late, 0)]
    past = SimpleNamespace(edges=edges, known=known, blocks=len(edges) - 1, length="100 rows")
    return Replayed(past, first, SimpleNamespace(), price, outcomes, None)


def test_luck_does_not_speak_against_the_preferred_preset_but_a_sure_saving_does():
    cost, lucky, better = outcome("cost", 50, 1), outcome("drift", 49.9, 2), outcome("schedule", 40, 3)
    whole = slice(0, BLOCKS)
    assert choose([cost, lucky], 20.0, whole) is cost
    assert choose([cost, lucky, better], 20.0, whole) is better
    assert choose([lucky, better], 20.0, whole) is better


def test_a_clear_saving_in_one_part_of_the_past_decides_nothing_in_another():
    early = np.r_[np.full(30, 60.0), np.full(30, 40.0)] + np.tile([0.5, -0.5], 30)
    cost, other = outcome("cost", early, 0), outcome("schedule", early[::-1], 0)
    advice = advise(replayed(cost, other))
    assert advice.name == "schedule"  # by the first part
    assert advice.cheapest_name == "cost"
    assert advice.cost == pytest.approx(other.cost(20.0, slice(30, 60)))
    assert advice.chosen_on == advice.judged_on == 30
    assert "took no part in the choice" in advice.reasons[1]


def test_the_price_of_retrainings_counts_where_they_were_made():
    one = outcome("cost", np.zeros(BLOCKS), 0, retrained=(5, 7, 40))
    assert spent_by_block(one, 20.0)[[0, 2, 35]].tolist() == [20.0, 20.0, 20.0]
    assert one.cost(20.0) == 60.0
    assert one.cost(20.0, slice(0, 30)) == 40.0
    assert sureness(one, one, 20.0, slice(0, BLOCKS)) == 0.0


def test_late_labels_and_no_sure_saving_mean_that_a_schedule_is_as_good():
    pair = outcome("cost", 50, 1), outcome("every-5", 50, 2)
    said = " ".join(advise(replayed(*pair, late=10)).reasons)
    assert "a plain schedule (every-5) is as good" in said
    assert "plain schedule" not in " ".join(advise(replayed(*pair)).reasons)
    sure = outcome("cost", 20, 1), outcome("every-5", 50, 2)
    assert "plain schedule" not in " ".join(advise(replayed(*sure, late=10)).reasons)


@pytest.mark.parametrize("late", [0, 3, 50])
def test_labels_are_as_late_as_they_are_though_half_of_the_past_had_none(late):
    assert late_blocks(replayed(late=late).past) == late


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("cost", ("[policy]", 'preset = "cost"', "retrain_cost = 7.0")),
        ("drift", ("[policy]", 'preset = "drift"')),
        ("volume", ("[policy]", 'preset = "volume"', "volume = 1000")),
    ],
)
def test_the_lines_to_paste_are_the_settings_that_were_played(name, lines):
    past = replayed().past
    (played,) = choose_policies([name], Settings(), past, 7.0)
    assert config_lines(played) == lines
    pasted = Settings(**tomllib.loads("\n".join(lines)))
    assert pasted.policy == Settings().policy.model_copy(update=dict(played.changes))


def test_where_a_person_is_asked_the_lines_say_that_nobody_was():
    (played,) = choose_policies(["drift"], Settings(policy={"mode": "approve"}), replayed().past, 7.0)
    assert config_lines(played) == ("[policy]", 'preset = "drift"', 'mode = "auto"')


@pytest.mark.parametrize(("name", "words"), [("every-5", "The yardstick every-5"), ("never", "Never to retrain")])
def test_a_yardstick_is_never_recommended_but_told_of_where_it_was_surely_cheaper(name, words):
    presets = outcome("cost", 50, 1), outcome("drift", 52, 3)
    cheap = advise(replayed(*presets, outcome(name, 40, 2)))
    assert cheap.name == "cost"
    assert cheap.cheapest_name == name
    assert f"{words} was surely cheaper" in " ".join(cheap.reasons)
    assert "surely cheaper" not in " ".join(advise(replayed(*presets, outcome(name, 49.8, 2))).reasons)


def test_too_few_played_blocks_give_no_advice_but_the_reason_and_what_to_do():
    pair = outcome("cost", 50, 1), outcome("every-5", 40, 2)
    assert why_no_advice(replayed(*pair, first=BLOCKS - 5)) == ""  # ten blocks
    few = replayed(*pair, first=BLOCKS + 4)
    assert advise(few) is None
    assert why_no_advice(few) == (
        "Only 1 block could be played, and a choice needs 10: one half to choose by, the other to hold the choice "
        "against. Choose a shorter --block than 100 rows."
    )


def test_one_block_is_one_block():
    pair = outcome("cost", 50, 1), outcome("every-5", 50, 2)
    assert "Labels come 1 block late" in " ".join(advise(replayed(*pair, late=1)).reasons)


def test_one_policy_alone_or_yardsticks_alone_give_nothing_to_recommend():
    assert advise(replayed(outcome("cost", 50, 1))) is None
    assert advise(replayed(outcome("never", 50, 1), outcome("every-1", 40, 2))) is None
