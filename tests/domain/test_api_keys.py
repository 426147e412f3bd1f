from __future__ import annotations

from dataclasses import replace

import pytest

from cordum.domain.api_keys import ENTROPY_BYTES, ApiKey, digest_of, key_id_of, new_key_text
from cordum.domain.roles import Role

TEXT = new_key_text(bytes(range(ENTROPY_BYTES)))
KEY = ApiKey(key_id_of(TEXT) or "", digest_of(TEXT), "acme", "ann", Role.OPERATOR)


def test_a_key_names_itself_and_holds_32_secret_bytes() -> None:
    assert TEXT.startswith(f"ck_{KEY.id}_")
    assert len(TEXT) == 3 + 8 + 1 + 43


def test_keys_of_different_bytes_differ_in_name_and_secret() -> None:
    other = new_key_text(bytes(reversed(range(ENTROPY_BYTES))))
    assert key_id_of(other) != KEY.id
    assert not KEY.opens(digest_of(other))


def test_less_randomness_makes_no_key() -> None:
    with pytest.raises(ValueError):
        new_key_text(bytes(ENTROPY_BYTES - 1))


@pytest.mark.parametrize(
    "text",
    ["", "ck_", TEXT[:-1], TEXT + "a", TEXT.upper(), f" {TEXT}", TEXT + "\n", f"{TEXT},{TEXT}", "käse", "a" * 10240],
)
def test_other_texts_name_no_key(text: str) -> None:
    assert key_id_of(text) is None


@pytest.mark.parametrize("text", ["käse", "\ud800", "\x00", ""])
def test_any_text_has_a_digest(text: str) -> None:
    assert not KEY.opens(digest_of(text))


def test_a_key_is_good_until_it_expires_or_is_revoked() -> None:
    assert KEY.good_at(10**15)
    until = replace(KEY, expires_at=1000)
    assert (until.good_at(999), until.good_at(1000)) == (True, False)
    assert not replace(KEY, revoked_at=1).good_at(0)


def test_roles_include_reading_and_only_admin_includes_both_sides_of_an_approval() -> None:
    assert all(role.includes(Role.VIEWER) for role in Role)
    assert [role for role in Role if role.includes(Role.OPERATOR) and role.includes(Role.APPROVER)] == [Role.ADMIN]
    assert [role for role in Role if role.includes(Role.ADMIN)] == [Role.ADMIN]
