"""A batch that was loaded twice is found; rows that ordinarily come back are left alone."""

import numpy as np
import pandas as pd
import pytest

from evergreen.data.repeats import check_repeats
from evergreen.data.schema import infer_contract
from evergreen.data.sources import Window, table_of
from evergreen.data.windows import read_timeline, to_key
from evergreen.settings import DataSettings

TIMED = DataSettings(time="at", identifiers=("customer",))


def batch(random, rows=300, day="2026-01-01"):
    start = pd.Timestamp(day)
    return pd.DataFrame(
        {
            "age": random.normal(40, 10, rows),
            "plan": random.choice(["a", "b"], rows),
            "customer": random.integers(0, 10**9, rows),
            "at": start + pd.to_timedelta(np.arange(rows), "min"),
        }
    )


def findings(before, new, settings=TIMED):
    """Of new rows below those that were there."""
    table = table_of(pd.concat([before, new], ignore_index=True), "the table", settings)
    timeline = read_timeline(table, settings)
    contract = infer_contract(table_of(before, "before", settings), settings)
    window = Window(to_key(timeline.keys[len(before)]), None)
    rows = table.frame(list(contract.features), window)
    return [(each.finding, each.blocking) for each in check_repeats(table, timeline, window, rows, contract)]


def again(random, rows, day):
    """The same rows, loaded once more: other times and numbers, and in another order."""
    mixed = rows.sample(frac=1, random_state=1).reset_index(drop=True)
    return mixed.assign(at=batch(random, len(rows), day)["at"], customer=random.integers(0, 10**9, len(rows)))


def test_the_same_batch_with_other_times_and_numbers_blocks():
    random = np.random.default_rng(1)
    older, last = batch(random), batch(random, day="2026-01-02")
    before = pd.concat([older, last], ignore_index=True)
    assert findings(before, again(random, last, "2026-01-03")) == [("duplicate_batch", True)]


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.9])
def test_a_batch_that_shares_some_rows_with_the_one_before_does_not(kept):
    random = np.random.default_rng(2)
    last, new = batch(random), batch(random, day="2026-01-02")
    same = round(kept * len(new))
    new.loc[: same - 1, ["age", "plan"]] = last.loc[: same - 1, ["age", "plan"]]
    assert findings(last, new) == []


def test_a_list_of_all_customers_every_night_ordinarily_repeats():
    random = np.random.default_rng(3)
    night = batch(random)
    before = pd.concat([night, again(random, night, "2026-01-02")], ignore_index=True)
    assert findings(before, again(random, night, "2026-01-03")) == []


def test_rows_of_a_few_categories_ordinarily_repeat():
    random = np.random.default_rng(4)
    one, two = (batch(random, day=day).drop(columns="age") for day in ("2026-01-01", "2026-01-02"))
    assert findings(one, two) == []


def test_without_times_the_rows_as_they_stand_are_compared():
    random = np.random.default_rng(5)
    last = batch(random).drop(columns=["at", "customer"])
    assert findings(last, last, DataSettings()) == [("duplicate_batch", True)]
    assert findings(last, batch(random).drop(columns=["at", "customer"]), DataSettings()) == []


def test_a_single_row_that_was_there_before_may_be_chance():
    random = np.random.default_rng(6)
    last = batch(random)
    repeated = last.tail(1).assign(at=pd.Timestamp("2026-02-01"))
    assert findings(last, repeated) == []
    assert findings(last, last.tail(5).assign(at=repeated["at"].iloc[0])) == [("duplicate_batch", True)]
