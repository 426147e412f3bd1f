"""An engine on a real Redis, and hands to play its workers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cordum.engine import Engine
from cordum.redis_address import RedisAddress
from cordum.settings import load_settings
from tests.engine.hands import ALLOW, Hands


@pytest.fixture
def engine(redis_address: RedisAddress, tmp_path: Path) -> Iterator[Engine]:
    engine = Engine.connect(load_settings(env={"CORDUM_DATA_DIR": str(tmp_path)}), redis_address)
    engine.publish_policy(ALLOW, "test")
    yield engine
    engine.close()


@pytest.fixture
def hands(engine: Engine) -> Hands:
    return Hands(engine)
