"""Every kind of key has a rule for how long it is kept."""

from __future__ import annotations

import pytest

from cordum.store import keys


def kinds_of_keys() -> set[str]:
    of_cell = {name for name, one in vars(keys.CellKeys).items() if not name.startswith("_") and name != "cell" and one}
    of_runs = {
        name for name, one in vars(keys).items() if callable(one) and getattr(one, "__module__", "") == keys.__name__
    }
    return {*keys.RunKeys._fields} | of_cell | {name for name in of_runs if name.islower()}


def test_every_kind_of_key_has_a_rule() -> None:
    assert kinds_of_keys() == set(keys.RETENTION)


def test_a_kind_without_a_rule_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys.CellKeys, "forgotten", property(lambda self: self._key("forgotten")), raising=False)
    assert kinds_of_keys() - set(keys.RETENTION) == {"forgotten"}
