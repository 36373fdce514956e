"""The pages "Build a component in ...": what they say to type makes what they say."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from gateway.config import load
from gateway.scaffold.project import LANGUAGES, Language
from tests import ask
from tests.forked import run
from tests.guests.new import TOOLS
from tests.harness import GatewayProcess, GuestPath

DOCS = Path(__file__).parents[2] / "docs"


def page(language: str) -> str:
    return (DOCS / f"build-{language}.md").read_text()


def edit(path: Path, old: str, new: str) -> None:
    """Edit a file, at once: nothing is built of half of it."""
    edited = Path("edited")
    edited.write_text(path.read_text().replace(old, new))
    edited.replace(path)


def commands(text: str) -> list[str]:
    return re.findall(r"^    (\S.*)$", text, re.MULTILINE)


def test_every_language_has_a_page_which_the_readme_names() -> None:
    readme = (DOCS.parent / "README.md").read_text()
    assert set(re.findall(r"docs/build-(\w+)\.md", readme)) == set(LANGUAGES)
    assert {path.stem.removeprefix("build-") for path in DOCS.glob("build-*.md")} == set(LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_a_page_says_to_type_makes_what_it_tells_of(
    language: Language, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = page(language)
    install, new, change, dev, curl, build, serve = commands(text)
    assert install == "pip install component-gateway"
    assert (change, dev) == ("cd hello", "gateway dev")
    assert (build, serve) == ("gateway build", "gateway serve gateway.toml")
    assert curl == "curl 'http://127.0.0.1:8080/?name=you'"
    program, *arguments = shlex.split(new)
    assert program == "gateway"
    assert run(*arguments).returncode == 0
    table = text.partition("## What is in the folder")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*?) \| ", table, re.MULTILINE)
    named = [Path(name) for row in rows for name in re.findall(r"`(.*?)`", row)]
    assert [name for name in named if not Path("hello", name).exists()] == []
    made = {path.relative_to("hello") for path in Path("hello").glob("**/*") if path.is_file()}
    told = {path for path in made if any(path.is_relative_to(name) for name in named)}
    rest = {path for path in made - told if path.parts[0] != "tests"}
    assert rest == {Path("README.md"), Path(".gitignore")}
    (edited,) = re.findall(r"Now edit `(.*?)`", text)
    (component,) = load(Path("hello/gateway.toml"), unbuilt=True).components
    assert component.build is not None
    assert Path("hello", edited).is_file()
    assert any(Path("hello", edited).absolute().is_relative_to(it) for it in component.build.watch)
    assert f"gateway inspect {component.source.name}" in text


def test_a_folder_is_built_served_and_edited_as_the_page_says(
    guest: GuestPath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In C, whose build takes a second, with the tools of the tests."""
    guest("new/c-http")  # the tools are there, and the C library is compiled
    monkeypatch.chdir(tmp_path)
    _, new, _, _, curl, *_ = commands(page("c"))
    assert run(*shlex.split(new)[1:]).returncode == 0
    url = shlex.split(curl)[1].removeprefix("http://127.0.0.1:8080")
    with GatewayProcess(Path("hello"), env=TOOLS, command="dev") as gateway:
        assert ask.get(gateway.url + url).text == "Hello, you!\n"
        words = Path("hello/src/words.h")
        before = len(gateway.logs)
        edit(words, "Hello", "Good morning")
        gateway.wait_for_log(event="reloaded", after=before)
        assert ask.get(gateway.url + url).text == "Good morning, you!\n"
        before = len(gateway.logs)
        edit(words, "asprintf(", "no_such_function(")
        gateway.wait_for_log(event="build failed", after=before)
        answer = ask.get(gateway.url + url)
        assert answer.text == "Good morning, you!\n"
        assert answer.headers["gateway-build-failed"] == "hello"
