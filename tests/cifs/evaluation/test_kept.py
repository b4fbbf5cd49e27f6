"""What joins evaluation.json, and what it may not join."""

from collections.abc import Callable
from typing import Any

import pytest

from cifs.errors import CheckpointError
from cifs.evaluation import is_of_fewer, with_autoattack, with_curves, with_more, with_table

OF = {"model": "a", "dataset": "tiny", "split": "test", "weights": "1", "eps": 0.1}
TABLE = {**OF, "n": 10, "cells": {"natural": "10"}, "sweep": []}
ELSE = {"curves": "c", "more": {"n": 20, "cells": {"pgd20": "20"}, "sweep": []}}
FULL = {**TABLE, **ELSE, "cells": {"natural": "10", "autoattack": "aa"}}


def columns(n: int, *keys: str, **changed: Any) -> dict[str, Any]:
    tried = [{"column": key, "n": n} for key in keys]
    return {**OF, "n": n, "cells": dict.fromkeys(keys, str(n)), "sweep": tried, **changed}


@pytest.mark.parametrize(("n", "expected"), [(5, False), (10, False), (15, False), (20, True), (30, True)])
def test_only_columns_of_more_images_stand_beside_a_table(n: int, expected: bool) -> None:
    assert is_of_fewer(FULL, columns(n, "natural")) == expected
    assert is_of_fewer(TABLE, columns(n, "natural")) == (n > 10)
    assert not is_of_fewer(None, columns(n, "natural"))
    assert not is_of_fewer(FULL, columns(n, "natural", weights="2"))


def test_a_new_table_keeps_what_else_is_known_of_the_same() -> None:
    assert with_table(FULL, {**TABLE, "cells": {"natural": "new"}}) == {
        **FULL,
        "cells": {"natural": "new", "autoattack": "aa"},
    }
    assert "more" not in with_table(FULL, {**TABLE, "n": 20})
    assert with_table(FULL, {**TABLE, "weights": "2"}) == {**TABLE, "weights": "2"}
    assert with_table(None, TABLE) == TABLE


def test_columns_of_as_many_images_gather_in_the_table_s_order() -> None:
    kept = with_more(FULL, FULL, columns(20, "natural"))
    assert list(kept["more"]["cells"].items()) == [("natural", "20"), ("pgd20", "20")]
    again = with_more(kept, FULL, columns(20, "natural", "fgsm"))
    assert [tried["column"] for tried in again["more"]["sweep"]] == ["natural", "fgsm"]
    assert with_more(kept, FULL, columns(30, "cw"))["more"]["cells"] == {"cw": "30"}
    with pytest.raises(CheckpointError, match="columns of 20 images by now, and keeps none of 15"):
        with_more(FULL, TABLE, columns(15, "natural"))


@pytest.mark.parametrize(
    "join",
    [
        lambda kept, before: with_curves(kept, before, {"n": 5}),
        lambda kept, before: with_autoattack(kept, before, {"n": 5}),
        lambda kept, before: with_more(kept, before, columns(30, "natural")),
    ],
)
def test_what_was_kept_meanwhile_stays_and_another_table_is_refused(
    join: Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]],
) -> None:
    assert join({**TABLE, "marked": 1}, TABLE)["marked"] == 1
    for changed in ({"weights": "2"}, {"n": 30}, {"eps": 0.2}):
        with pytest.raises(CheckpointError, match=f"changed meanwhile \\({next(iter(changed))}\\)"):
            join({**TABLE, **changed}, TABLE)
