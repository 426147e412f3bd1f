"""create_api_key, revoke_api_key, read_api_key: what is kept of a key, and that a second sending changes nothing."""

from __future__ import annotations

from dataclasses import replace

from cordum.domain.api_keys import ApiKey
from cordum.domain.roles import Role
from tests.store.world import START, World

KEY = ApiKey("abcdefgh", "d1", "acme", "ann", Role.OPERATOR, created_by="root", description="ci")


def test_a_key_is_kept_as_it_was_made(world: World) -> None:
    assert not world.store.api_keys.look_up("abcdefgh").any
    assert world.store.api_keys.create(KEY, 5000)
    found = world.store.api_keys.look_up("abcdefgh")
    assert (found.now, found.any) == (START, True)
    assert found.key == replace(KEY, created_at=START, expires_at=START + 5000)


def test_the_same_key_sent_again_is_ours_and_another_of_its_id_is_not(world: World) -> None:
    assert world.store.api_keys.create(KEY, None)
    assert world.store.api_keys.create(KEY, None)
    assert not world.store.api_keys.create(replace(KEY, digest="d2", tenant="evil"), None)
    found = world.store.api_keys.look_up("abcdefgh").key
    assert found is not None
    assert (found.digest, found.tenant) == ("d1", "acme")
    assert world.store.api_keys.of_tenant("evil") == []


def test_a_revoked_key_stays_and_keeps_its_first_moment(world: World) -> None:
    world.store.api_keys.create(KEY, None)
    assert world.store.api_keys.revoke("abcdefgh", "root")
    world.at(START + 7)
    assert world.store.api_keys.revoke("abcdefgh", "root")
    found = world.store.api_keys.look_up("abcdefgh")
    assert found.any
    assert found.key is not None
    assert found.key.revoked_at == START
    assert not world.store.api_keys.revoke("zzzzzzzz", "root")
    assert world.store.api_keys.look_up("zzzzzzzz").key is None


def test_keys_are_listed_by_tenant(world: World) -> None:
    world.store.api_keys.create(KEY, None)
    world.at(START + 1)
    world.store.api_keys.create(replace(KEY, id="bbbbbbbb", tenant="other"), None)
    assert [key.id for key in world.store.api_keys.of_tenant("acme")] == ["abcdefgh"]
    assert [key.id for key in world.store.api_keys.of_tenant(None)] == ["abcdefgh", "bbbbbbbb"]


def test_last_use_is_noted(world: World) -> None:
    world.store.api_keys.create(KEY, None)
    world.store.api_keys.used("abcdefgh", START + 3)
    found = world.store.api_keys.look_up("abcdefgh").key
    assert found is not None
    assert found.last_used_at == START + 3
