"""The one Settings value: every knob of cordum, its type, its limits, its default, and where its value came from.

Sources, later ones win: the defaults below, the configuration file (`CORDUM_CONFIG`, else `cordum.yaml` in
`config_dir()`), the environment (`CORDUM_<KEY>`; an empty variable counts as absent), options of a command
(`with_overrides`). Unknown names and wrong types are refused, all of them in one message. Nobody else reads
configuration from the environment.
"""

from __future__ import annotations

import dataclasses
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType, NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from cordum import failpoints
from cordum.config_files import did_you_mean, read_mapping
from cordum.errors import ConfigurationRefused

__all__ = [
    # values
    "Durability",
    "Environment",
    "LogLevel",
    "Settings",
    # making them
    "config_dir",
    "load_settings",
    # describing them
    "NOT_SETTINGS",
    "settings_table",
    "variable_name",
]

Environment = Literal["dev", "production"]
Durability = Literal["standard", "strict"]
LogLevel = Literal["debug", "info", "warning", "error"]

NOT_SETTINGS = frozenset({"CORDUM_API_KEY", "CORDUM_API_URL", "CORDUM_CONFIG", "CORDUM_DEMO_DIR", "CORDUM_DEMO_FAIL"})
"""Variables of ours that are not settings; any other unknown `CORDUM_…` is a mistake and refused."""

_CONFIG_FILE = "cordum.yaml"
_PREFIX = "CORDUM_"
_DAY_SEC = 86_400
_NAME = r"[A-Za-z0-9][A-Za-z0-9._/-]{0,62}"
_TENANT = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_KIB = 1024
_MIB = 1024 * _KIB
_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off"})


def _rule(
    doc: str, *, minimum: int | None = None, maximum: int | None = None, pattern: str | None = None
) -> Mapping[str, Any]:
    """Metadata of one setting: what it means, and what values it takes."""
    return {"doc": doc, "minimum": minimum, "maximum": maximum, "pattern": pattern}


@dataclass(frozen=True, slots=True)
class Settings:
    """Effective configuration of one process. `_ms`, `_sec` and `_bytes` say the unit."""

    # where and how this process runs
    env: Environment = field(default="dev", metadata=_rule("`production` refuses to start with unsafe settings"))
    cell: str = field(
        default="c1",
        metadata=_rule("name of the cell (one Redis with its workers); part of run ids", pattern="[a-z0-9]{1,8}"),
    )
    data_dir: Path = field(
        default=Path(".cordum"), metadata=_rule("private directory of the embedded Redis and other local files")
    )
    log_level: LogLevel = field(default="info", metadata=_rule("least severe log line written"))

    failpoints: str | None = field(
        default=None,
        metadata=_rule("make this process fail at named places (`cordum failpoints`); never in production"),
    )

    # Redis
    redis_url: str | None = field(
        default=None, repr=False, metadata=_rule("broker and state; absent: find the embedded one")
    )
    durability: Durability = field(
        default="standard", metadata=_rule("`strict` syncs each write of the embedded Redis to disk before answering")
    )

    # HTTP API
    api_host: str = field(default="127.0.0.1", metadata=_rule("address the API listens on"))
    api_port: int = field(
        default=8081, metadata=_rule("port the API listens on; 0 takes a free one", minimum=0, maximum=65_535)
    )
    admin_tenant: str = field(
        default="default",
        metadata=_rule(
            "the tenant whose admins look after the whole cell: policy, metrics, keys of every tenant",
            pattern="[A-Za-z0-9][A-Za-z0-9._-]{0,63}",
        ),
    )
    max_body_bytes: int = field(default=1 * _MIB, metadata=_rule("largest request body", minimum=1))
    idempotency_ttl_sec: int = field(
        default=7 * _DAY_SEC, metadata=_rule("how long an Idempotency-Key is remembered", minimum=1)
    )
    audit_key: str | None = field(
        default=None,
        repr=False,
        metadata=_rule("`<id>:<secret>`, signs the audit; keep it away from workers and out of files with this one"),
    )
    audit_checkpoints: str | None = field(
        default=None,
        metadata=_rule("file of the audit's checkpoints; absent: `audit-checkpoints.jsonl` in the data directory"),
    )
    hook_master_key: str | None = field(
        default=None,
        repr=False,
        metadata=_rule(
            "32 characters or more that the secrets of inbound webhooks are derived from; absent: kept in Redis",
            pattern="[!-~]{32,}",
        ),
    )
    allow_anonymous_approval: bool = field(
        default=False, metadata=_rule("anonymous may approve anonymous' run; never in production")
    )

    # Flower
    flower_address: str = field(
        default="127.0.0.1", metadata=_rule("address Flower listens on; others than loopback need authentication")
    )
    flower_port: int = field(
        default=5555,
        metadata=_rule("port `cordum flower` listens on; 0 takes a free one", minimum=0, maximum=65_535),
    )

    # leases, recovery
    lease_renew_ms: int = field(default=1_000, metadata=_rule("how often a worker renews its lease", minimum=10))
    lease_ms: int = field(
        default=5_000,
        metadata=_rule("silence after which a worker counts as dead; at least twice lease_renew_ms", minimum=20),
    )
    sweep_ms: int = field(
        default=1_000, metadata=_rule("how often timers, leases and lost messages are looked at", minimum=10)
    )
    message_grace_ms: int = field(
        default=3_000, metadata=_rule("an unclaimed message overtaken for this long counts as lost", minimum=10)
    )
    shutdown_grace_sec: int = field(
        default=25,
        metadata=_rule(
            "how long a worker that was told to end lets its running jobs finish; then others get them", minimum=0
        ),
    )
    stop_grace_sec: int = field(
        default=5,
        metadata=_rule(
            "how long a stopped job may take to end by itself before its prefork child is terminated", minimum=0
        ),
    )
    max_losses: int = field(default=3, metadata=_rule("workers one step may lose before it is `poison`", minimum=1))

    # dispatch
    takeoff: bool = field(
        default=True,
        metadata=_rule("workers claim and record in batches; `false`: each job by itself, as Celery would"),
    )
    straight: bool = field(
        default=True,
        metadata=_rule("steps whose turn is known beforehand follow without a coordinator; `false`: each is planned"),
    )
    window_minimum: int = field(
        default=32, metadata=_rule("unfinished messages a topic may have while no worker takes its jobs", minimum=1)
    )
    window_ahead: int = field(
        default=0,
        metadata=_rule(
            "messages of a topic beyond its workers' slots; 0: an eighth as many as slots, and at least one", minimum=0
        ),
    )
    default_job_timeout_sec: int = field(
        default=900, metadata=_rule("time limit of an attempt where nothing else says", minimum=1)
    )

    tenant_weights: str | None = field(
        default=None,
        metadata=_rule(
            "jobs of a tenant per turn where several wait on one topic, as `acme=3,guests=1`; 1 where nothing is said",
            pattern=f"{_TENANT}=[1-9][0-9]?(,{_TENANT}=[1-9][0-9]?)*",
        ),
    )

    # what a worker says of itself
    worker_labels: str | None = field(
        default=None,
        metadata=_rule("labels of this worker, as `region=eu,disk=ssd`", pattern=f"{_NAME}={_NAME}(,{_NAME}={_NAME})*"),
    )
    worker_capabilities: str | None = field(
        default=None,
        metadata=_rule("what jobs may require of this worker, as `gpu,deploy-access`", pattern=f"{_NAME}(,{_NAME})*"),
    )
    worker_pools: str | None = field(
        default=None,
        metadata=_rule(
            "the pools this worker belongs to; absent: every pool it is fit for", pattern=f"{_NAME}(,{_NAME})*"
        ),
    )

    # dead letters
    forward_dead_letters: bool = field(
        default=False,
        metadata=_rule("each dead letter of a job is also a message on the queue `dlq.<topic>`, for `@dead_letter`"),
    )
    dead_letters_kept: int = field(
        default=10_000,
        metadata=_rule(
            "most dead letters of a tenant; the oldest of those that were dealt with go, others never", minimum=1
        ),
    )
    dead_letters_kept_sec: int = field(
        default=30 * _DAY_SEC,
        metadata=_rule(
            "how long a dead letter is kept once it was dealt with, and a bulk retry after its end", minimum=0
        ),
    )

    # limits
    max_definition_bytes: int = field(default=256 * _KIB, metadata=_rule("largest workflow definition", minimum=1))
    max_steps: int = field(default=1_000, metadata=_rule("most steps in a workflow", minimum=1))
    max_items: int = field(default=1_000, metadata=_rule("most items of one `for_each`", minimum=1))
    max_subworkflow_depth: int = field(default=10, metadata=_rule("how deep sub-workflows may nest", minimum=1))
    max_inline_result_bytes: int = field(
        default=256 * _KIB, metadata=_rule("largest result kept beside its step; larger apart", minimum=1)
    )
    max_result_bytes: int = field(
        default=10 * _MIB, metadata=_rule("largest result; above it the step fails", minimum=1)
    )

    # retention
    retention_sec: int = field(
        default=30 * _DAY_SEC, metadata=_rule("how long a run is kept after its end; 0: not at all", minimum=0)
    )
    retention_runs: int = field(
        default=100_000, metadata=_rule("most ended runs kept of one tenant; the oldest go first", minimum=0)
    )

    # other files, by default beside the configuration file
    policy_file: Path = field(default=Path("safety.yaml"), metadata=_rule("the policy published at start-up"))
    audit_keys_file: Path = field(
        default=Path("audit-keys.yaml"), metadata=_rule("secrets that sign the audit, by their ids; may be absent")
    )
    pools_file: Path = field(default=Path("pools.yaml"), metadata=_rule("which pools serve which topics"))
    timeouts_file: Path = field(default=Path("timeouts.yaml"), metadata=_rule("time limits by workflow and topic"))

    origins: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    @property
    def checkpoint_file(self) -> Path:
        return Path(self.audit_checkpoints or self.data_dir / "audit-checkpoints.jsonl")

    def origin(self, key: str) -> str:
        """Where the value of `key` came from: `default`, a file, a variable, or a command's option."""
        if key not in _FIELDS:
            raise KeyError(key)
        return self.origins.get(key, "default")

    @property
    def weights(self) -> dict[str, int]:
        """{tenant: jobs a turn}, where something is said."""
        return {tenant: int(weight) for tenant, weight in _pairs(self.tenant_weights)}

    @property
    def labels(self) -> dict[str, str]:
        """This worker's own."""
        return dict(_pairs(self.worker_labels))

    @property
    def capabilities(self) -> tuple[str, ...]:
        return _names(self.worker_capabilities)

    @property
    def pools(self) -> tuple[str, ...]:
        return _names(self.worker_pools)

    def with_overrides(self, origin: str, **values: object) -> Settings:
        """A copy with some values replaced, checked like any source; None leaves a value as it is."""
        given = {key: _Given(value, origin, Path.cwd()) for key, value in values.items() if value is not None}
        changed, origins = _checked(given)
        return _consistent(dataclasses.replace(self, **changed, origins=MappingProxyType({**self.origins, **origins})))


_FIELDS = {one.name: one for one in dataclasses.fields(Settings) if one.metadata}
_TYPES = get_type_hints(Settings)


@dataclass(frozen=True, slots=True)
class _Given:
    """A value somebody gave: who, and the directory their relative paths start from."""

    value: object
    origin: str
    base: Path


def load_settings(path: Path | None = None, env: Mapping[str, str] = os.environ) -> Settings:
    """Put the sources together; `path` names the file instead of `CORDUM_CONFIG` and the search."""
    file = (path or _config_file(env)).absolute()
    values, origins = _checked(_from_file(file) | _from_environment(env))
    return _consistent(Settings(**(_default_paths(file.parent) | values), origins=MappingProxyType(origins)))


def config_dir(env: Mapping[str, str] = os.environ) -> Path:
    """The directory of the configuration files: of `CORDUM_CONFIG`, else the first that holds a `cordum.yaml`."""
    return _config_file(env).parent


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys((text or "").split(","))) if text else ()


def _pairs(text: str | None) -> list[tuple[str, str]]:
    """`name=value` of each part."""
    return [(name, value) for name, _, value in (part.partition("=") for part in _names(text))]


def variable_name(key: str) -> str:
    return _PREFIX + key.upper()


def settings_table() -> str:
    """All settings as a Markdown table, for the README."""
    rows = ["| key | variable | default | meaning |", "|---|---|---|---|"]
    for key, one in _FIELDS.items():
        default = "" if one.default is None else f"`{str(one.default).lower()}`"
        rows.append(f"| `{key}` | `{variable_name(key)}` | {default} | {one.metadata['doc']}{_choices_note(key)} |")
    return "\n".join(rows) + "\n"


def _default_paths(beside: Path) -> dict[str, Any]:
    """Defaults that depend on where we are: files beside the configuration file, data under the current directory."""
    bases = {"data_dir": Path.cwd()}
    return {key: bases.get(key, beside) / str(one.default) for key, one in _FIELDS.items() if _TYPES[key] is Path}


def _choices_note(key: str) -> str:
    choices = get_args(_TYPES[key]) if get_origin(_TYPES[key]) is Literal else ()
    return f" ({', '.join(choices)})" if choices else ""


def _config_file(env: Mapping[str, str]) -> Path:
    if named := env.get("CORDUM_CONFIG"):
        file = Path(named).expanduser()
        if not file.is_file():
            raise ConfigurationRefused(f"CORDUM_CONFIG names {named}, which is not a file")
        return file.absolute()
    places = [
        Path.cwd() / "config",
        Path(__file__).resolve().parent.parent / "config",
        Path(sys.prefix) / "share" / "cordum" / "config",
    ]
    for place in places:
        # The file and not the directory decides: many a project has a `config` of its own.
        if (place / _CONFIG_FILE).is_file():
            return place / _CONFIG_FILE
    raise ConfigurationRefused(f"no {_CONFIG_FILE} in {', '.join(map(str, places))}; set CORDUM_CONFIG")


def _from_file(file: Path) -> dict[str, _Given]:
    return {key: _Given(value, str(file), file.parent) for key, value in read_mapping(file).items()}


def _from_environment(env: Mapping[str, str]) -> dict[str, _Given]:
    ours = {name: text for name, text in env.items() if name.startswith(_PREFIX) and name not in NOT_SETTINGS and text}
    keys = {name: name.removeprefix(_PREFIX).lower() for name in ours}
    return {keys[name]: _Given(_from_text(keys[name], text), name, Path.cwd()) for name, text in ours.items()}


def _from_text(key: str, text: str) -> object:
    """What a YAML file would have held; text that does not fit is left for the check to refuse."""
    if _TYPES.get(key) is int and re.fullmatch(r"-?[0-9]{1,18}", text):
        return int(text)
    if _TYPES.get(key) is bool and text.lower() in _TRUE | _FALSE:
        return text.lower() in _TRUE
    return text


def _checked(given: Mapping[str, _Given]) -> tuple[dict[str, Any], dict[str, str]]:
    values: dict[str, Any] = {}
    problems: list[str] = []
    for key, one in given.items():
        problem = _problem(key, one.value)
        if problem:
            problems.append(f"{one.origin}: {problem}")
        elif _TYPES[key] is Path:
            values[key] = one.base / Path(str(one.value)).expanduser()
        else:
            values[key] = one.value
    if problems:
        raise ConfigurationRefused("\n".join(problems))
    return values, {key: given[key].origin for key in values}


def _problem(key: str, value: object) -> str:
    """What is wrong with this value for this key; empty when nothing is. Never repeats a secret."""
    if key not in _FIELDS:
        return f"unknown setting {key!r}{did_you_mean(key, _FIELDS)}"
    rules = _FIELDS[key].metadata
    shown = repr(value) if _FIELDS[key].repr else "what was given"
    wanted = _wanted(_TYPES[key], value)
    if wanted:
        return f"{key} must be {wanted}, not {shown}"
    if value is not None and rules["pattern"] and not re.fullmatch(rules["pattern"], str(value)):
        return f"{key} must match {rules['pattern']}, not {shown}"
    if isinstance(value, int) and rules["minimum"] is not None and value < rules["minimum"]:
        return f"{key} must be at least {rules['minimum']}, not {shown}"
    if isinstance(value, int) and rules["maximum"] is not None and value > rules["maximum"]:
        return f"{key} must be at most {rules['maximum']}, not {shown}"
    return ""


def _wanted(kind: Any, value: object) -> str:
    """In words, the type a value should have had; empty when it has it."""
    if get_origin(kind) is Literal:
        choices = get_args(kind)
        return "" if value in choices else f"one of {', '.join(choices)}"
    if NoneType in get_args(kind):
        return "" if value is None else _wanted(str, value)
    if kind is bool:
        return "" if isinstance(value, bool) else "true or false"
    if kind is int:
        return "" if isinstance(value, int) and not isinstance(value, bool) else "a whole number"
    text = isinstance(value, str | Path) if kind is Path else isinstance(value, str)
    return "" if text and str(value) else "a text"


def _consistent(settings: Settings) -> Settings:
    """Rules between settings."""
    problems = [
        (settings.lease_ms < 2 * settings.lease_renew_ms, "lease_ms must be at least twice lease_renew_ms"),
        (
            settings.max_inline_result_bytes > settings.max_result_bytes,
            "max_inline_result_bytes must not be larger than max_result_bytes",
        ),
        (
            settings.env == "production" and settings.allow_anonymous_approval,
            "allow_anonymous_approval must be off when env is production",
        ),
        (
            settings.env == "production" and settings.failpoints is not None,
            "failpoints must not be set when env is production: unset CORDUM_FAILPOINTS",
        ),
    ]
    broken = [message for is_broken, message in problems if is_broken]
    if broken:
        raise ConfigurationRefused("\n".join(broken))
    failpoints.parse(settings.failpoints or "")
    return settings
