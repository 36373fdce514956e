"""Links that lead nowhere, or to what is not as it is imported, are refused when components are loaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway.app import create_app
from gateway.config import ComponentConfig, GatewayConfig
from gateway.host.errors import ComponentError
from tests.guests.toolchains import GUESTS
from tests.harness import GuestPath

pytestmark = pytest.mark.anyio

API = "acme:pricing/api@1.0.0"

IMPORTS = """
(component
  (import "acme:pricing/api@1.0.0" (instance
    {0}))
  (core module $module (func (export "run")))
  (core instance $instance (instantiate $module))
  (func (export "run") (canon lift (core func $instance "run"))))
"""

EXPORTS = """
(component
  (core module $module (func (export "f") (param i32) (result i32) local.get 0))
  (core instance $core (instantiate $module))
  (func $f (param "item" {type}) (result {type}) (canon lift (core func $core "f")))
  (instance $api (export "price" (func $f)))
  (export "{name}" (instance $api)))
"""

PRICE = '(export "price" (func (param "item" u32) (result u32)))'


def load(folder: Path, *components: tuple[str, str, Sequence[dict[str, Any]]]) -> None:
    """Loads components of these names and texts, with these links.

    Raises:
        ComponentError: a link is refused.
    """
    configs = []
    for name, text, links in components:
        (source := folder / f"{name}.wat").write_text(text)
        configs.append(
            ComponentConfig.model_validate({"name": name, "source": source, "links": links})
        )
    create_app(GatewayConfig(components=tuple(configs)))


def shop(imports: str = PRICE, **link: Any) -> tuple[str, str, Sequence[dict[str, Any]]]:
    return "shop", IMPORTS.format(imports), [{"import": API, "component": "pricing", **link}]


def pricing(name: str = API, type_: str = "u32") -> tuple[str, str, Sequence[dict[str, Any]]]:
    return "pricing", EXPORTS.replace("{name}", name).replace("{type}", type_), []


def refusal(folder: Path, *components: Any) -> str:
    with pytest.raises(ComponentError) as refused:
        load(folder, *components)
    said = str(refused.value)
    where = f'{folder}/shop.wat: the link of "{API}": '
    assert said.startswith(where)
    return said.replace(where, "")


def test_what_is_as_it_is_imported_is_linked(tmp_path: Path) -> None:
    load(tmp_path, shop(), pricing())


@pytest.mark.parametrize("version", ["1.0.0", "1.0.3", "1.4.0"])
def test_a_version_that_is_as_good_will_do(tmp_path: Path, version: str) -> None:
    load(tmp_path, shop(), pricing(f"acme:pricing/api@{version}"))


def test_a_component_that_is_not_there(tmp_path: Path) -> None:
    assert refusal(tmp_path, shop()) == (
        'there is no component "pricing", but "shop". Add it, or correct the name.'
    )


@pytest.mark.parametrize("name", ["acme:pricing/api@2.0.0", "acme:pricing/other@1.0.0"])
def test_an_interface_that_is_not_exported(tmp_path: Path, name: str) -> None:
    said = refusal(tmp_path, shop(), pricing(name))
    assert said == f'component "pricing" does not export it (it exports {name})'


def test_a_type_that_differs(tmp_path: Path) -> None:
    assert refusal(tmp_path, shop(), pricing(type_="s32")) == (
        'price: is imported as func(item: u32) -> u32, and component "pricing" exports func(item: s32) -> s32'
    )


def test_functions_that_are_not_exported_are_told_together(tmp_path: Path) -> None:
    imports = '(export "sale" (func)) (export "rent" (func))'
    assert refusal(tmp_path, shop(imports), pricing()).splitlines() == [
        'sale: component "pricing" exports no such function there, but price',
        'rent: component "pricing" exports no such function there, but price',
    ]


def test_resources_are_not_carried(tmp_path: Path) -> None:
    imports = '(export "item" (type $item (sub resource))) (export "buy" (func (param "it" (borrow $item))))'
    there = EXPORTS.replace("price", "buy").replace("{name}", API).replace("{type}", "u32")
    assert refusal(tmp_path, shop(imports), ("pricing", there, [])) == (
        "buy: takes or gives the resource item, which such a link does not carry"
    )


def test_each_of_several_components_is_checked(tmp_path: Path) -> None:
    said = refusal(tmp_path, shop(component=["pricing", "a", "shop", "b"]), pricing())
    assert [line.partition(", but")[0] for line in said.splitlines()] == [
        'there is no component "a"',
        'there is no component "b"',
    ]
    load(tmp_path, shop(component=["pricing", "other"]), pricing(), ("other", *pricing()[1:]))
    other = ("other", *pricing(type_="s32")[1:])
    assert refusal(tmp_path, shop(component=["pricing", "other"]), pricing(), other) == (
        'price: is imported as func(item: u32) -> u32, and component "other" exports func(item: s32) -> s32'
    )


def test_an_import_that_there_is_none_of(tmp_path: Path) -> None:
    other = "shop", EXPORTS.replace("{name}", "a:b/c").replace("{type}", "u32"), shop()[2]
    assert refusal(tmp_path, other, pricing()) == (
        "the component does not import it (it imports no interfaces)"
    )


@pytest.mark.parametrize(
    "near", [API.replace("1.0.0", "2.0.0"), API.replace("pricing/", "prices/")]
)
def test_an_import_that_was_meant_is_told(tmp_path: Path, near: str) -> None:
    name, text, links = shop()
    other = name, text, [{**links[0], "import": near}]
    meant = f'"{near}": the component does not import it; did you mean "{API}"'
    with pytest.raises(ComponentError, match=meant):
        load(tmp_path, other, pricing())


def test_imports_are_told_those_of_wasi_last_and_none_that_only_the_host_knows(
    tmp_path: Path,
) -> None:
    text = (GUESTS / "wat/wasi-0-3.wat").read_text()
    links = [{"import": "gateway:wasi/host", "component": "pricing"}]
    with pytest.raises(ComponentError) as refused:
        load(tmp_path, ("shop", text, links), pricing())
    _, _, told = str(refused.value).partition("the component does not import it ")
    assert told.startswith(
        "(it imports test:nobody/there@0.1.0, wasi:http/types@0.3.0, wasi:clocks/"
    )
    assert "gateway:wasi/" not in told


def test_what_is_refused_of_several_links_is_told_together(tmp_path: Path) -> None:
    links = [{"import": name, "component": "nobody"} for name in (API, "a:b/c@1.0.0")]
    with pytest.raises(ComponentError) as refused:
        load(tmp_path, ("shop", IMPORTS.format(PRICE), links))
    assert len(str(refused.value).splitlines()) == 2


def test_a_link_goes_before_what_the_gateway_provides(guest: GuestPath, tmp_path: Path) -> None:
    links = [{"import": "wasi:config/store@0.2.0-rc.1", "component": "values"}]
    config = ComponentConfig.model_validate(
        {"name": "shop", "source": guest("wat/config-and-log"), "links": links}
    )
    with pytest.raises(ComponentError, match='there is no component "values"'):
        create_app(GatewayConfig(components=(config,)))
