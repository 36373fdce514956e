"""wasi:config: where values come from, and what a component finds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.bindings import config
from gateway.bindings.config import ConfigCtx
from gateway.bindings.context import WasiCtx
from gateway.config import ComponentConfig, ConfigError, load
from gateway.host.values import Ok
from tests.bindings.conftest import Ask
from tests.driven_guest import driven_guest, driving

pytestmark = pytest.mark.anyio

NAMES = [
    "wasi:config/store@0.2.0-draft",
    "wasi:config/store@0.2.0-draft-2024-09-27",
    "wasi:config/store@0.2.0-rc.1",
    "wasi:config/runtime@0.2.0-draft",
]


def imports(name: str) -> str:
    error = "config-error" if "runtime" in name else "error"
    return f"""
      (import "{name}" (instance
        (type $variant (variant (case "upstream" string) (case "io" string)))
        (export "{error}" (type $error (eq $variant)))
        (export "get" (func (param "key" string) (result (result (option string) (error $error)))))
        (export "get-all" (func
          (result (result (list (tuple string string)) (error $error)))))))
    """


@pytest.mark.parametrize("name", NAMES)
async def test_values_are_found_under_every_name(name: str) -> None:
    """wasi:config: `store` of each draft, and `runtime`; a key that is missing is none."""
    short = name.partition("/")[2].partition("@")[0]
    ctx = WasiCtx(ConfigCtx({"greeting": "hällo", "empty": ""}))
    async with driving(driven_guest(imports(name)), config.INTERFACES, ctx) as guest:
        assert await guest.call(f"{short}#get", "greeting") == Ok("hällo")
        assert await guest.call(f"{short}#get", "empty") == Ok("")
        assert await guest.call(f"{short}#get", "Greeting") == Ok(None)
        assert await guest.call(f"{short}#get-all") == Ok([("greeting", "hällo"), ("empty", "")])


@pytest.mark.parametrize("name", NAMES)
async def test_without_any_there_are_none(name: str) -> None:
    """wasi:config: without values, `get` is none and `get-all` empty; never an error."""
    short = name.partition("/")[2].partition("@")[0]
    async with driving(driven_guest(imports(name)), config.INTERFACES) as guest:
        assert await guest.call(f"{short}#get", "PATH") == Ok(None)
        assert await guest.call(f"{short}#get-all") == Ok([])


async def test_a_component_has_its_own(
    ask: Callable[..., Ask], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "values.toml"
    file.write_text('a = "file"\nb = "file"\nc = "file"')
    monkeypatch.setenv("SHOP_b", "environment")
    monkeypatch.setenv("SHOP_c", "environment")
    monkeypatch.setenv("OTHER_d", "environment")
    call = ask(config_file=file, config_env_prefix="SHOP_", config={"c": "table"})
    values = [await call("get", key) for key in ("a", "b", "c", "d", "SHOP_b")]
    assert values == ["file", "environment", "table", None, None]


def test_a_file_that_has_changed_makes_another_configuration(tmp_path: Path, source: Path) -> None:
    file = tmp_path / "values.toml"
    made = []
    for value in ("first", "second"):
        file.write_text(f'key = "{value}"')
        keys = {"name": "guest", "source": source, "config_file": file}
        made.append(ComponentConfig.model_validate(keys))
    assert [component.config for component in made] == [{"key": "first"}, {"key": "second"}]
    assert made[0] != made[1]
    assert "first" not in repr(made[0])


FILES = {
    "missing": (None, "cannot be read: No such file or directory"),
    "no text": (b"\xff", "is not UTF-8: byte 0 is 0xff"),
    "no TOML": (b"key", "is not TOML"),
    "no text as value": (b"key = 1", 'has "key", which must be text in quotes'),
    "deep": (b'[table]\nkey = "value"', 'has "table", which must be text in quotes'),
    "nested": (b"key = " + b"[" * 10_000, "is nested too deeply"),
    "large": (b"#" * (1 << 20) + b"#", "has more than 1MiB"),
}


@pytest.mark.parametrize(("content", "reason"), FILES.values(), ids=FILES)
def test_a_file_that_cannot_be_read_is_refused(
    content: bytes | None, reason: str, tmp_path: Path, source: Path
) -> None:
    if content is not None:
        (tmp_path / "values.toml").write_bytes(content)
    problems = refused(tmp_path, source, config_file="values.toml")
    assert problems[0][0] == "components[0].config_file"
    assert problems[0][1].startswith(reason)


def test_a_device_is_no_file(tmp_path: Path, source: Path) -> None:
    assert "Not a regular file" in refused(tmp_path, source, config_file="/dev/zero")[0][1]


def test_what_is_no_value_is_refused(tmp_path: Path, source: Path) -> None:
    assert refused(tmp_path, source, config_env_prefix="")[0] == (
        "components[0].config_env_prefix",
        "must not be empty: all of the environment would be given",
    )
    (problem,) = refused(tmp_path, source, config="{ secret = 1 }")
    assert problem == ("components[0].config.secret", "must be text in quotes")


def refused(folder: Path, source: Path, **keys: Any) -> list[tuple[str, str]]:
    lines = [f"{key} = {value if value[:1] == '{' else repr(value)}" for key, value in keys.items()]
    path = folder / "gateway.toml"
    path.write_text("\n".join(["[[components]]", 'name = "guest"', f"source = '{source}'", *lines]))
    with pytest.raises(ConfigError) as error:
        load(path)
    return [(problem.key, problem.reason) for problem in error.value.problems]
