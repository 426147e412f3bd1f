"""Settings: sources and their order, refusals, and the documents that must agree with the code."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from cordum.config_files import read_mapping
from cordum.errors import ConfigurationRefused
from cordum.settings import Settings, config_dir, load_settings, settings_table, variable_name

SETTING_FIELDS = [field for field in dataclasses.fields(Settings) if field.name != "origins"]


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    file = tmp_path / "etc" / "cordum.yaml"
    file.parent.mkdir()
    file.write_text("")
    return file


def refusal(file: Path, text: str = "", env: dict[str, str] | None = None) -> str:
    file.write_text(text)
    with pytest.raises(ConfigurationRefused) as refused:
        load_settings(file, env or {})
    return refused.value.detail


def test_defaults_hold_when_nobody_says_anything(config_file: Path) -> None:
    settings = load_settings(config_file, {})
    assert (settings.env, settings.api_port, settings.lease_ms) == ("dev", 8081, 5_000)
    assert settings.origin("lease_ms") == "default"


def test_environment_beats_file_beats_default_and_each_is_named(config_file: Path) -> None:
    config_file.write_text("lease_ms: 6000\nsweep_ms: 700\n")
    settings = load_settings(config_file, {"CORDUM_LEASE_MS": "7000", "PATH": "/bin"})
    assert (settings.lease_ms, settings.sweep_ms, settings.max_losses) == (7_000, 700, 3)
    assert settings.origin("lease_ms") == "CORDUM_LEASE_MS"
    assert settings.origin("sweep_ms") == str(config_file)
    assert settings.origin("max_losses") == "default"


def test_options_of_a_command_beat_everything_and_are_checked_too(config_file: Path) -> None:
    settings = load_settings(config_file, {"CORDUM_API_PORT": "9000"}).with_overrides(
        "--port", api_port=9001, cell=None
    )
    assert (settings.api_port, settings.origin("api_port"), settings.cell) == (9001, "--port", "c1")
    with pytest.raises(ConfigurationRefused, match="--port: api_port must be at most 65535"):
        settings.with_overrides("--port", api_port=70_000)


def test_origin_of_something_that_is_no_setting_is_an_error(config_file: Path) -> None:
    with pytest.raises(KeyError):
        load_settings(config_file, {}).origin("lease")


def test_misspelt_key_in_the_file_is_refused_with_file_key_and_guess(config_file: Path) -> None:
    detail = refusal(config_file, "leese_ms: 1")
    assert str(config_file) in detail
    assert "'leese_ms'; did you mean 'lease_ms'?" in detail


def test_misspelt_variable_is_refused_with_name_and_guess(config_file: Path) -> None:
    detail = refusal(config_file, env={"CORDUM_LEESE_MS": "1"})
    assert "CORDUM_LEESE_MS: unknown setting 'leese_ms'; did you mean 'lease_ms'?" in detail


def test_the_key_that_remembers_origins_cannot_be_set(config_file: Path) -> None:
    assert "unknown setting 'origins'" in refusal(config_file, "origins: {}")


def test_empty_variable_counts_as_absent(config_file: Path) -> None:
    assert load_settings(config_file, {"CORDUM_REDIS_URL": "", "CORDUM_API_PORT": ""}).api_port == 8081


def test_all_problems_are_told_at_once(config_file: Path) -> None:
    detail = refusal(config_file, "api_port: many\nenv: staging\n", {"CORDUM_NOPE": "1", "CORDUM_MAX_LOSSES": "0"})
    assert len(detail.splitlines()) == 4


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("api_port: '8081'", "api_port must be a whole number, not '8081'"),
        ("api_port: true", "api_port must be a whole number, not True"),
        ("api_port: 80.5", "api_port must be a whole number, not 80.5"),
        ("api_port: null", "api_port must be a whole number, not None"),
        ("api_port: -1", "api_port must be at least 0"),
        ("allow_anonymous_approval: 1", "must be true or false"),
        ("env: prod", "env must be one of dev, production"),
        ("env: [dev]", "env must be one of dev, production"),
        ("cell: C1", "cell must match"),
        ("cell: toolongname", "cell must match"),
        ("data_dir: 7", "data_dir must be a text"),
        ("policy_file: ''", "policy_file must be a text"),
        ("lease_ms: 1500", "lease_ms must be at least twice lease_renew_ms"),
        ("max_result_bytes: 1000", "max_inline_result_bytes must not be larger"),
        ("env: production\nallow_anonymous_approval: true", "must be off when env is production"),
        ("- api_port", "must be a mapping"),
        ("api_port: [", "not valid YAML"),
        ("api_port: 1\napi_port: 2", "given twice"),
        ("3: x", "must be a mapping from names"),
        ("a: !!python/object:os.system {}", "not valid YAML"),
    ],
)
def test_wrong_value_in_the_file_is_refused_with_the_reason(config_file: Path, text: str, reason: str) -> None:
    assert reason in refusal(config_file, text)


def test_file_that_is_not_utf8_is_refused(config_file: Path) -> None:
    config_file.write_bytes(b"cell: \xff\xfe")
    with pytest.raises(ConfigurationRefused, match="not valid YAML"):
        load_settings(config_file, {})


@pytest.mark.parametrize("text", ["1.5", "1e3", "٣", "0x10", " 5", "9" * 30])
def test_variable_that_is_not_a_plain_number_is_refused(config_file: Path, text: str) -> None:
    assert "must be a whole number" in refusal(config_file, env={"CORDUM_MAX_STEPS": text})


@pytest.mark.parametrize(("text", "value"), [("true", True), ("1", True), ("YES", True), ("off", False), ("0", False)])
def test_switch_in_a_variable_takes_the_usual_words(config_file: Path, text: str, value: bool) -> None:
    assert load_settings(config_file, {"CORDUM_ALLOW_ANONYMOUS_APPROVAL": text}).allow_anonymous_approval is value


def test_redis_url_is_in_no_printable_form(config_file: Path) -> None:
    settings = load_settings(config_file, {"CORDUM_REDIS_URL": "redis://:hunter2@h"})
    assert settings.redis_url == "redis://:hunter2@h"
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in refusal(config_file, "redis_url: [hunter2]")


def test_paths_in_the_file_start_beside_it_and_in_a_variable_where_we_are(
    config_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config_file.write_text("policy_file: strict.yaml\n")
    settings = load_settings(config_file, {"CORDUM_POOLS_FILE": "mine.yaml", "CORDUM_DATA_DIR": "/srv/data"})
    assert settings.policy_file == config_file.parent / "strict.yaml"
    assert settings.timeouts_file == config_file.parent / "timeouts.yaml"
    assert settings.pools_file == tmp_path / "mine.yaml"
    assert settings.data_dir == Path("/srv/data")


def test_data_lies_under_the_current_directory_by_default(
    config_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_settings(config_file, {}).data_dir == tmp_path / ".cordum"


def test_configuration_is_the_named_file_then_here_then_the_shipped_one(
    config_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert (config_dir({}) / "cordum.yaml").is_file(), "the one that comes with the package"
    (tmp_path / "config").mkdir()
    assert config_dir({}) != tmp_path / "config", "a config directory of some other project"
    (tmp_path / "config" / "cordum.yaml").write_text("cell: here\n")
    assert config_dir({}) == tmp_path / "config"
    assert load_settings(env={}).cell == "here"
    assert config_dir({"CORDUM_CONFIG": str(config_file)}) == config_file.parent


def test_named_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationRefused, match="CORDUM_CONFIG names"):
        load_settings(env={"CORDUM_CONFIG": str(tmp_path / "nowhere.yaml")})


def test_shipped_file_states_only_defaults() -> None:
    shipped = Path(__file__).parent.parent / "config" / "cordum.yaml"
    stated = read_mapping(shipped)
    assert stated
    settings = load_settings(shipped, {})
    assert {key: getattr(settings, key) for key in stated} == {key: getattr(Settings(), key) for key in stated}


@pytest.mark.parametrize("field", SETTING_FIELDS, ids=lambda field: field.name)
def test_every_setting_has_one_line_of_documentation_and_a_row_in_the_table(field: dataclasses.Field[object]) -> None:
    doc = field.metadata["doc"]
    assert doc
    assert "\n" not in doc
    assert "|" not in doc
    rows = [
        row for row in settings_table().splitlines() if f"| `{field.name}` | `{variable_name(field.name)}` |" in row
    ]
    assert len(rows) == 1
