from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from cordum.errors import ConfigurationRefused
from cordum.execution.handlers import MissingInput, Registry


@pytest.fixture
def registry() -> Registry:
    return Registry()


def test_a_registered_function_stays_as_it_is(registry: Registry) -> None:
    def work(ctx: Any) -> None: ...

    assert registry.job("job.a")(work) is work
    assert registry["job.a"].function is work


@pytest.mark.parametrize("topic", ["", "a", "job", "job.", "job.a b", "celery", "job.*", "job.a\n", "job." + "a" * 300])
def test_what_is_no_topic_is_refused(registry: Registry, topic: str) -> None:
    with pytest.raises(ConfigurationRefused, match="is not a topic"):
        registry.job(topic)(lambda ctx: None)


def test_a_topic_has_one_handler(registry: Registry) -> None:
    def first(ctx: Any) -> None: ...
    def second(ctx: Any) -> None: ...

    registry.add("job.a", first)
    with pytest.raises(ConfigurationRefused, match=r"job.a has two handlers: .*first and .*second"):
        registry.add("job.a", second)
    assert registry["job.a"].function is first


def test_the_decorator_without_a_topic_is_refused(registry: Registry) -> None:
    forgotten: Any = registry.job
    with pytest.raises(ConfigurationRefused, match="needs a topic"):

        @forgotten
        def work(ctx: Any) -> None: ...


@pytest.mark.parametrize("function", [lambda: None, lambda *args: None, lambda *, ctx: None, lambda **kw: None])
def test_a_handler_takes_the_context_first(registry: Registry, function: Any) -> None:
    with pytest.raises(ConfigurationRefused, match="first parameter"):
        registry.add("job.a", function)


def test_input_cannot_be_positional_only(registry: Registry) -> None:
    with pytest.raises(ConfigurationRefused, match="by name"):
        registry.add("job.a", lambda ctx, a, /: None)


def test_a_follower_hears_of_topics_before_and_after(registry: Registry) -> None:
    heard: list[str] = []
    registry.add("job.a", lambda ctx: None)
    registry.follow(heard.append)
    registry.add("job.b", lambda ctx: None)
    assert heard == ["job.a", "job.b"]


@pytest.mark.parametrize(
    ("function", "given", "arguments"),
    [
        (lambda ctx, a, b=1: None, {"a": 1, "other": 2}, {"a": 1}),
        (lambda ctx, *, a: None, {"a": 1}, {"a": 1}),
        (lambda ctx, **kw: None, {"a": 1, "b": 2}, {"a": 1, "b": 2}),
        (lambda ctx, **kw: None, {"ctx": 1, "b": 2}, {"b": 2}),
        (lambda ctx: None, {"a": 1}, {}),
        (lambda ctx: None, [1, 2], {}),
        (lambda ctx, a=0: None, None, {}),
    ],
)
def test_a_handler_gets_what_it_names(registry: Registry, function: Any, given: Any, arguments: Any) -> None:
    registry.add("job.a", function)
    assert registry["job.a"].arguments(given) == arguments


@pytest.mark.parametrize("given", [{}, {"b": 1}, [1], None, "text"])
def test_missing_input_is_named(registry: Registry, given: Any) -> None:
    registry.add("job.a", lambda ctx, summary, *, about: None)
    with pytest.raises(MissingInput, match=r"job.a needs about, summary"):
        registry["job.a"].arguments(given)


@pytest.mark.parametrize(
    "statement",
    [
        "import cordum",
        "import cordum.client",
        "from cordum import Client",
        "from cordum import job, Retry, Fatal, Cancelled",
    ],
)
def test_light_imports_bring_no_celery(statement: str) -> None:
    heavy = "{'celery', 'kombu', 'redis', 'flask'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", f"{statement}; import sys; sys.exit(bool({heavy}))"], check=False)
    assert done.returncode == 0
