"""The secrets that sign the audit, from the environment and from their file. They never go into Redis."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cordum.config_files import read_mapping
from cordum.domain.audit import KEY_ID, LEAST_SECRET_BYTES, Keyring
from cordum.errors import ConfigurationRefused
from cordum.settings import Settings


def load_keyring(settings: Settings) -> Keyring:
    """All keys there are. The one from the environment signs, else the file's active one.

    Raises ConfigurationRefused, which never repeats a secret.
    """
    file = settings.audit_keys_file
    given = file.exists() or settings.origin("audit_keys_file") != "default"
    ring = keyring_from(file) if given else Keyring()
    if settings.audit_key is None:
        return ring
    key_id, colon, secret = settings.audit_key.partition(":")
    own = _secrets("audit_key", {key_id: secret} if colon else {})
    if ring.secrets.get(key_id, own[key_id]) != own[key_id]:
        raise ConfigurationRefused(f"audit_key: {file} has another secret for key {key_id}")
    return Keyring({**ring.secrets, **own}, key_id)


def keyring_from(file: Path) -> Keyring:
    """The keys of a file `{active: k2, keys: {k1: secret, k2: secret}}`."""
    document = read_mapping(file)
    unknown = document.keys() - {"active", "keys"}
    keys, active = document.get("keys"), document.get("active")
    if unknown or not isinstance(keys, Mapping) or not isinstance(active, str | None):
        raise ConfigurationRefused(f"{file}: wanted are `keys`, secrets by their ids, and `active`, one of the ids")
    secrets = _secrets(str(file), keys)
    if active is not None and active not in secrets:
        raise ConfigurationRefused(f"{file}: the active key {active!r} is not among the keys")
    return Keyring(secrets, active)


def _secrets(origin: str, keys: Mapping[object, object]) -> dict[str, bytes]:
    if not keys:
        raise ConfigurationRefused(f"{origin}: no key; give `<id>:<secret>`, or `keys` in a file")
    found: dict[str, bytes] = {}
    for key_id, secret in keys.items():
        if not isinstance(key_id, str) or not KEY_ID.match(key_id):
            raise ConfigurationRefused(f"{origin}: a key's id must match {KEY_ID.pattern}")
        if not isinstance(secret, str) or len(secret.encode()) < LEAST_SECRET_BYTES:
            raise ConfigurationRefused(
                f"{origin}: the secret of key {key_id} must be a text of {LEAST_SECRET_BYTES} bytes or more"
            )
        found[key_id] = secret.encode()
    return found
