"""The page that browsers see, in Chromium."""

from __future__ import annotations

import json
import re
import shutil
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright

from gateway.wasm.binary import encode
from tests.harness import GuestPath
from tests.patience import PATIENCE
from tests.rpc.endpoint import Endpoint

HTML = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}

HOSTILE = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"

expect.set_options(timeout=PATIENCE * 1000)


@pytest.fixture(scope="module")
def endpoint(guest: GuestPath, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """A component that says of itself what no page should run."""
    folder = tmp_path_factory.mktemp("page")
    docs = {"worlds": {"w": {"docs": HOSTILE, "func_exports": {"add": {"docs": HOSTILE}}}}}
    section = encode.section(0, encode.name("package-docs") + b"\1" + json.dumps(docs).encode())
    component = folder / "rpc.wasm"
    component.write_bytes(guest("c/rpc").read_bytes() + section)
    with Endpoint(component, folder) as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        # Its sandbox is not for processes of root, as those in containers are.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    context = chromium.new_context(viewport={"width": 390, "height": 800}, color_scheme="dark")
    context.set_default_timeout(PATIENCE * 1000)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext, endpoint: Endpoint) -> Iterator[Page]:
    """The page of the component; nothing may be wrong with it in the end."""
    wrong: list[str] = []
    page = context.new_page()
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text))
    page.goto(f"{endpoint.url}{endpoint.path}")
    expect(page.locator("main")).not_to_have_attribute("aria-busy", "true")
    yield page
    assert wrong == []


def method(page: Page, name: str) -> Locator:
    """A method, opened by the keyboard."""
    summary = page.locator("summary", has=page.get_by_text(name, exact=True))
    summary.focus()
    page.keyboard.press("Enter")
    return page.locator("details.method[open]")


def answer(opened: Locator) -> Locator:
    opened.get_by_role("button", name="Call").click()
    return opened.get_by_role("status").locator("pre").first


def test_who_asks_for_json_gets_it(endpoint: Endpoint) -> None:
    for path in ("/rpc", endpoint.path):
        for headers in ({}, {"accept": "application/json"}, {"accept": "*/*"}):
            response = httpx.get(f"{endpoint.url}{path}", headers=headers)
            assert response.headers["content-type"] == "application/json"
            assert response.headers["vary"] == "accept"
        head = httpx.head(f"{endpoint.url}{path}", headers=HTML)
        assert head.headers["content-type"] == "text/html; charset=utf-8"
        assert head.content == b""


def test_its_policy_allows_what_is_in_it_and_no_more(endpoint: Endpoint) -> None:
    response = httpx.get(f"{endpoint.url}/rpc", headers=HTML)
    assert response.headers["vary"] == "accept"
    found = {
        tag: re.search(f"<{tag}>(.*?)</{tag}>", response.text, re.DOTALL)
        for tag in ("style", "script")
    }
    digests = {
        tag: b64encode(sha256(match[1].encode()).digest()).decode()
        for tag, match in found.items()
        if match is not None
    }
    assert response.headers["content-security-policy"].split("; ") == [
        "default-src 'none'",
        f"style-src 'sha256-{digests['style']}'",
        f"script-src 'sha256-{digests['script']}'",
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]


def test_one_key_turns_it_off(guest: GuestPath, tmp_path: Path) -> None:
    with Endpoint(guest("c/rpc"), tmp_path, server="rpc_page = false") as endpoint:
        response = httpx.get(f"{endpoint.url}{endpoint.path}", headers=HTML)
        assert response.headers["content-type"] == "application/json"
        assert "vary" not in response.headers


def test_the_components_lead_to_their_methods(page: Page, endpoint: Endpoint) -> None:
    page.get_by_role("link", name="All components").click()
    page.get_by_role("link", name="guest").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("guest")
    assert page.url == f"{endpoint.url}{endpoint.path}"


def test_a_call_shows_its_answer_and_the_command(page: Page) -> None:
    opened = method(page, "divide")
    opened.get_by_label("dividend").fill("42")
    opened.get_by_label("divisor").fill("2")
    expect(answer(opened)).to_have_text('{ "jsonrpc": "2.0", "result": 21, "id": 1 }')
    told = opened.get_by_role("status")
    expect(told).to_contain_text(
        re.compile(r"returned: HTTP 200, [0-9.]+ ms, request [0-9a-f]{32}")
    )
    expect(told.locator("pre").last).to_contain_text(
        '"params": {"dividend": 42, "divisor": 2}, "id": 1}\''
    )
    opened.get_by_label("divisor").fill("0")
    opened.get_by_role("button", name="Call").click()
    expect(told.locator("p").first).to_have_class("bad")


def test_what_is_no_json_is_not_sent(page: Page) -> None:
    opened = method(page, "divide")
    opened.get_by_label("dividend").fill("forty")
    opened.get_by_role("button", name="Call").click()
    expect(opened.get_by_label("dividend")).to_have_attribute("aria-invalid", "true")
    expect(opened.get_by_label("dividend")).to_be_focused()
    expect(opened.get_by_role("status")).to_be_empty()


@pytest.mark.parametrize("name", ["echo-many", "echo-u64", "echo-bool", "echo-color", "echo-bits"])
def test_each_type_has_a_value_to_begin_with(page: Page, name: str) -> None:
    page.get_by_label("Methods whose name has").fill(name)
    expect(answer(method(page, name))).to_contain_text('"result"')


def test_numbers_go_as_they_were_typed(page: Page) -> None:
    opened = method(page, "echo-u64")
    opened.get_by_label("value").fill("18446744073709551615")
    expect(answer(opened)).to_contain_text('"18446744073709551615"')


def test_what_a_component_says_stays_text(page: Page) -> None:
    expect(page.locator("#about")).to_have_text(HOSTILE)
    expect(method(page, "add").get_by_text(HOSTILE)).to_be_visible()
    assert page.title() == "guest"
    assert page.locator("img").count() == 0


def test_it_fits_a_telephone(page: Page) -> None:
    answer(method(page, "echo-many")).wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_an_address_opens_a_method(page: Page, endpoint: Endpoint) -> None:
    page.goto(f"{endpoint.url}{endpoint.path}#test:rpc/types@1.2.3%23echo-u8")
    expect(page.get_by_label("value")).to_be_visible()
