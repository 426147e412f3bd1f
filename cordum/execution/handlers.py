"""Which function does which topic's jobs, and which of a job's input it is given.

Plain Python: knows nothing of Celery, which follows the registry to make one task of each topic.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, TypeVar

from cordum.domain.ids import is_topic
from cordum.domain.workflow import JSON
from cordum.errors import ConfigurationRefused

__all__ = ["Handler", "MissingInput", "Registry", "dead_letter", "dead_letters", "job", "registry"]

_Function = TypeVar("_Function", bound=Callable[..., Any])
_TOPIC_PATTERN = re.compile(r"(?=.*[*?[])(job\.|\*)[A-Za-z0-9_.*?\[\]!-]*\Z")
_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class MissingInput(Exception):
    """The input lacks what the handler cannot do without."""


@dataclass(frozen=True, slots=True)
class Handler:
    """One registered function. `named` are the parameters it takes from the input, `required` those with no default."""

    topic: str
    function: Callable[..., Any]
    named: frozenset[str]
    required: frozenset[str]
    takes_all: bool
    context_name: str

    def arguments(self, payload: JSON) -> dict[str, JSON]:
        """The keyword arguments for this input; an input that is no object is to be had as `ctx.input` only."""
        given = payload if isinstance(payload, dict) else {}
        if not self.required <= given.keys():
            missing = sorted(self.required - given.keys())
            raise MissingInput(f"{self.topic} needs {', '.join(missing)}, which its input does not have")
        if self.takes_all:
            return {key: value for key, value in given.items() if key != self.context_name}
        if given.keys() <= self.named:
            return given
        return {key: value for key, value in given.items() if key in self.named}


class Registry:
    """Handlers by topic; whoever follows it hears of each topic, also of those registered before."""

    def __init__(self) -> None:
        self._handlers: dict[str, Handler] = {}
        self._followers: list[Callable[[str], None]] = []

    def add(self, topic: str, function: Callable[..., Any]) -> None:
        if not is_topic(topic):
            raise ConfigurationRefused(f"{topic!r} is not a topic: write job.<name>, with letters, digits, '_' and '-'")
        if topic in self._handlers:
            there = _place(self._handlers[topic].function)
            raise ConfigurationRefused(f"{topic} has two handlers: {there} and {_place(function)}")
        self._handlers[topic] = _handler(topic, function)
        for follower in self._followers:
            follower(topic)

    def follow(self, follower: Callable[[str], None]) -> None:
        self._followers.append(follower)
        for topic in self._handlers:
            follower(topic)

    def __getitem__(self, topic: str) -> Handler:
        return self._handlers[topic]

    def job(self, topic: str) -> Callable[[_Function], _Function]:
        """`@job("job.sre.classify")`: register a function for a topic and leave it as it is."""
        if not isinstance(topic, str):
            raise ConfigurationRefused('@job needs a topic: @job("job.<name>")')

        def register(function: _Function) -> _Function:
            self.add(topic, function)
            return function

        return register


registry = Registry()
job = registry.job


class DeadLetterRegistry:
    """Functions that are handed the dead letters of jobs, by topic or by a pattern of topics, as `-Q` takes them."""

    def __init__(self) -> None:
        self._functions: dict[str, Callable[[dict[str, Any]], object]] = {}

    def __getitem__(self, topic: str) -> Callable[[dict[str, Any]], object]:
        """That of the topic itself, else that of the first pattern which covers it."""
        name = next(name for name in (topic, *self._functions) if covers(name, topic) and name in self._functions)
        return self._functions[name]

    def names(self) -> frozenset[str]:
        """The topics and patterns that have a function."""
        return frozenset(self._functions)

    def dead_letter(self, topic: str) -> Callable[[_Function], _Function]:
        """`@dead_letter("job.sre.classify")` or `@dead_letter("job.sre.*")`: register a function that takes one dead
        letter, as the API shows it.

        Needs the setting `forward_dead_letters`, and a worker with `-Q 'dlq.job.sre.*'`. Each letter is handed over
        once, to the function of its topic or else to that of the first pattern; if its worker dies then, the letter
        says so (`taken_by`) and stays open.
        """
        if not isinstance(topic, str) or not (is_topic(topic) or _TOPIC_PATTERN.match(topic)):
            raise ConfigurationRefused(
                f"{topic!r} is neither a topic nor a pattern of topics: write job.<name> or job.<name>.*, with "
                "letters, digits, '_' and '-'"
            )

        def register(function: _Function) -> _Function:
            if topic in self._functions:
                there = _place(self._functions[topic])
                raise ConfigurationRefused(f"dead letters of {topic} have two: {there} and {_place(function)}")
            self._functions[topic] = function
            return function

        return register


def covers(name: str, topic: str) -> bool:
    """Whether a topic, or a pattern of topics written as for files in a shell, is or matches this topic."""
    return fnmatchcase(topic, name)


dead_letters = DeadLetterRegistry()
dead_letter = dead_letters.dead_letter


def _handler(topic: str, function: Callable[..., Any]) -> Handler:
    parameters = list(inspect.signature(function).parameters.values())
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if not parameters or parameters[0].kind not in positional:
        raise ConfigurationRefused(f"{_place(function)} must take the job's context as its first parameter")
    context, *rest = parameters
    if any(one.kind is inspect.Parameter.POSITIONAL_ONLY for one in rest):
        raise ConfigurationRefused(f"{_place(function)}: input comes by name, so only the context may be positional")
    named = [one for one in rest if one.kind in _BY_NAME]
    return Handler(
        topic=topic,
        function=function,
        named=frozenset(one.name for one in named),
        required=frozenset(one.name for one in named if one.default is inspect.Parameter.empty),
        takes_all=any(one.kind is inspect.Parameter.VAR_KEYWORD for one in rest),
        context_name=context.name,
    )


def _place(function: Callable[..., Any]) -> str:
    return f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', repr(function))}"
