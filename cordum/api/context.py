"""What a request is answered with: the engine and the settings that `create_app` put into the application."""

from __future__ import annotations

from typing import cast

from flask import Flask, current_app

from cordum.engine import Engine
from cordum.settings import Settings

_ENGINE = "cordum.engine"
_SETTINGS = "cordum.settings"


def equip(app: Flask, engine: Engine, settings: Settings) -> None:
    app.extensions[_ENGINE] = engine
    app.extensions[_SETTINGS] = settings


def engine() -> Engine:
    return cast(Engine, current_app.extensions[_ENGINE])


def settings() -> Settings:
    return cast(Settings, current_app.extensions[_SETTINGS])
