"""The image and the compose file, read and checked without Docker; Redis' command is really run."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from configparser import ConfigParser
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

import cordum
from cordum.cli import main
from cordum.engine import Engine
from cordum.ops.redis_checks import check_redis
from cordum.redis_address import RedisAddress
from cordum.settings import Settings, load_settings, variable_name
from tests.cells import eventually

ROOT = Path(cordum.__file__).parents[1]
OURS = ("api", "coordinator", "worker", "flower")
PASSWORD = "c0rrect-horse"


# --- the image ---


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions and their arguments, in order."""
    lines = [line for line in (ROOT / "docker/Dockerfile").read_text().splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def arguments(word: str) -> list[str]:
    return [rest for one, rest in instructions() if one == word]


def copied() -> set[str]:
    return {source for rest in arguments("COPY") for source in rest.split()[:-1]}


def test_the_base_image_is_of_one_version_of_python_and_debian() -> None:
    (base,) = arguments("FROM")
    assert re.fullmatch(r"python:3\.1[12]-slim-[a-z]+", base)


def test_what_is_copied_exists_and_is_all_that_an_installation_reads() -> None:
    assert all((ROOT / source).exists() for source in copied())
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    named = [setup["metadata"]["long_description"].removeprefix("file: "), setup["metadata"]["license_files"]]
    named += [path.strip() for path in setup["options.data_files"].values()]
    assert {path.split("/")[0] for path in named} | {"setup.cfg", "pyproject.toml", "cordum"} <= copied()
    assert ".ci/constraints.txt" in copied()


def test_every_dependency_has_its_exact_version() -> None:
    (install,) = (rest for rest in arguments("RUN") if "pip install" in rest)
    assert "pip install --constraint .ci/constraints.txt ." in install
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    wanted = re.findall(r"^([A-Za-z0-9-]+)", setup["options"]["install_requires"], flags=re.MULTILINE)
    pinned = dict(re.findall(r"^([A-Za-z0-9_.-]+)==(\S+)$", (ROOT / ".ci/constraints.txt").read_text(), re.MULTILINE))
    assert len(wanted) > 5
    assert {name.lower() for name in wanted} <= {name.lower() for name in pinned}


def test_the_image_runs_cordum_and_not_as_root() -> None:
    words = [word for word, _ in instructions()]
    assert arguments("USER") == ["cordum"]
    assert words.index("RUN") < words.index("USER") < words.index("ENTRYPOINT")
    assert "useradd --system" in " ".join(arguments("RUN"))
    assert arguments("ENTRYPOINT") == ['["cordum"]']


def test_the_image_holds_no_secret() -> None:
    assert not re.search("password|secret|auth|key", " ".join(arguments("ENV") + arguments("ARG")), re.IGNORECASE)


# --- the services ---


def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((ROOT / "docker/compose.yaml").read_text())
    return document


def service(name: str) -> dict[str, Any]:
    found: dict[str, Any] = compose()["services"][name]
    return found


def test_there_is_one_service_for_each_role() -> None:
    assert set(compose()["services"]) == {"redis", *OURS}
    assert all("ports" not in one for one in compose()["services"].values())
    assert (ROOT / "docker" / service("api")["build"]["context"]).resolve() == ROOT
    assert (ROOT / service("api")["build"]["dockerfile"]).is_file()


@pytest.mark.parametrize("name", OURS)
def test_what_a_service_runs_is_a_command_with_these_options(name: str) -> None:
    command = service(name)["command"]
    assert "entrypoint" not in service(name)
    assert command[0] == name in main.commands
    accepted = [help_of(*command), help_of(*command, "--no-such-option")]
    assert [code == 0 for code in accepted] == [True, False]


def help_of(*command: str) -> int:
    """The exit code of a command asked for its help; a process of its own, because `worker` becomes another program."""
    argv = [sys.executable, "-m", "cordum.cli", *command, "--help"]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, timeout=60, check=False).returncode


@pytest.mark.parametrize("name", OURS)
def test_a_service_of_ours_has_settings_for_production_and_no_privileges(name: str) -> None:
    one = service(name)
    given = {key: str(value) for key, value in one["environment"].items()}
    assert given["CORDUM_ENV"] == "production"
    known = {variable_name(key) for key in Settings.__dataclass_fields__}
    assert {key for key in given if key.startswith("CORDUM_")} <= known
    url = given["CORDUM_REDIS_URL"].replace("${REDIS_PASSWORD:?set a password for Redis}", PASSWORD)
    assert load_settings(env=given | {"CORDUM_REDIS_URL": url}).env == "production"
    assert RedisAddress.parse(url).password == PASSWORD
    assert one["cap_drop"] == ["ALL"]
    assert one["security_opt"] == ["no-new-privileges:true"]
    assert one["depends_on"] == {"redis": {"condition": "service_healthy"}}


def test_flower_has_credentials_that_somebody_must_choose() -> None:
    assert service("flower")["environment"]["FLOWER_BASIC_AUTH"].startswith("${FLOWER_BASIC_AUTH:?")
    # So it listens on loopback, as its settings say by default.
    assert service("flower")["command"] == ["flower"]
    assert Settings().flower_address == "127.0.0.1"


def test_every_secret_must_be_given() -> None:
    text = (ROOT / "docker/compose.yaml").read_text()
    assert set(re.findall(r"\$\{(\w+)(:\?)?", text)) == {
        (name, ":?") for name in ("REDIS_PASSWORD", "FLOWER_BASIC_AUTH", "AUDIT_KEY")
    }


def test_only_those_that_seal_and_check_the_audit_have_its_key_and_its_checkpoints() -> None:
    holders = {name for name in OURS if "CORDUM_AUDIT_KEY" in service(name)["environment"]}
    assert holders == {name for name in OURS if "audit:/var/lib/cordum/audit" in service(name)["volumes"]}
    assert holders == {"api", "coordinator"}
    assert "--owner=cordum --mode=0700 /var/lib/cordum/audit" in " ".join(arguments("RUN"))


def test_every_volume_is_declared_and_mounted() -> None:
    document = compose()
    mounted = {volume.split(":")[0] for one in document["services"].values() for volume in one["volumes"]}
    assert mounted == set(document["volumes"])


def test_redis_is_of_one_version_has_no_network_and_is_not_root() -> None:
    redis = service("redis")
    assert re.fullmatch(r"redis:\d+\.\d+-[a-z]+", redis["image"])
    assert (redis["network_mode"], redis["user"], redis["cap_drop"]) == ("none", "redis", ["ALL"])


def test_redis_started_by_its_command_is_fit_for_production(redis_binary: Path) -> None:
    with composed_redis(redis_binary) as (address, process):
        client = address.redis_py_kwargs()["unix_socket_path"]
        eventually(lambda: Path(client).exists(), "the socket")
        engine = Engine.connect(Settings(), address)
        engine.ping()
        redis = engine.store.connection
        wanted = {"appendonly": "yes", "maxmemory-policy": "noeviction", "port": "0", "requirepass": PASSWORD}
        assert redis.read(lambda one: {key: one.config_get(key)[key] for key in wanted}) == wanted
        assert check_redis(address, redis.read(lambda one: one.info())) == []
        engine.close()
        assert PASSWORD not in Path(f"/proc/{process.pid}/cmdline").read_text()


@contextmanager
def composed_redis(binary: Path) -> Iterator[tuple[RedisAddress, subprocess.Popen[bytes]]]:
    """What Docker would start, with directories of this machine in the place of the volumes."""
    with tempfile.TemporaryDirectory(prefix="cordum-test-") as home:
        (Path(home) / "redis-server").symlink_to(binary)
        places = {"/run/redis": home, "/data": home, "$$": "$"}
        command = service("redis")["command"]
        for word, place in places.items():
            command = [part.replace(word, place) for part in command]
        env = {"PATH": f"{home}:/usr/bin:/bin", "REDISCLI_AUTH": PASSWORD}
        process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL)
        try:
            yield RedisAddress.parse(f"unix://:{PASSWORD}@{home}/redis.sock"), process
        finally:
            process.kill()
            process.wait()
