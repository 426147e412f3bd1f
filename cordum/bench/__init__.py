"""Measurements a user can repeat: throughput beside Celery's canvas and peers, what runs keep in memory, how the cost
of a step grows, what the API answers, what idling, deciding, routing and the language cost.

Everything runs on processes, directories and a Redis of its own; nothing here touches a cordum that is in use.
"""

from __future__ import annotations

from cordum.bench.contest import Options, Report, hold_contest
from cordum.bench.decisions import Decided, measure_decisions
from cordum.bench.growth import MOST_GROWTH, Cost, Growth, measure_growth
from cordum.bench.http_api import Answered, measure_http
from cordum.bench.idle import Idle, measure_idle
from cordum.bench.language import Language, measure_language
from cordum.bench.memory import Kept, measure_memory
from cordum.bench.peers import WORKS, Comparison, Taken, Work, compare
from cordum.bench.plot import draw
from cordum.bench.routing import Chosen, measure_choices
from cordum.bench.sides import Measured

__all__ = [
    # throughput
    "Measured",
    "Options",
    "Report",
    "hold_contest",
    # beside peers
    "WORKS",
    "Comparison",
    "Taken",
    "Work",
    "compare",
    "draw",
    # the HTTP API
    "Answered",
    "measure_http",
    # idling
    "Idle",
    "measure_idle",
    # memory, and how costs grow
    "MOST_GROWTH",
    "Cost",
    "Growth",
    "Kept",
    "measure_growth",
    "measure_memory",
    # policy
    "Decided",
    "measure_decisions",
    # the language
    "Language",
    "measure_language",
    # routing
    "Chosen",
    "measure_choices",
]
