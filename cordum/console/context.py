"""What a page is made from: the engine that `create_console` was given."""

from __future__ import annotations

from typing import cast

from flask import Flask, current_app

from cordum.engine import Engine

_ENGINE = "cordum.engine"


def equip(app: Flask, engine: Engine) -> None:
    app.extensions[_ENGINE] = engine


def engine() -> Engine:
    return cast(Engine, current_app.extensions[_ENGINE])
