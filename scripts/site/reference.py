"""Pages of the site that are made from the code: keys of the configuration, commands, metrics, and the admin API.

What they say stands nowhere else, so that it is what holds: keys are those of the models, with the words of their
docstrings, commands tell of themselves what `--help` does, metrics are those that a gateway counts, and requests
are those of the admin API's own document.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, get_args

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from pydantic.fields import FieldInfo

from gateway.admin.endpoints import PREFIX
from gateway.admin.openapi import document
from gateway.cli.app import app
from gateway.config.gateway import TABLES
from gateway.config.key import RESTART, flag_name, flag_of, quantity_of
from gateway.config.schema import configuration_schema, without_none
from gateway.config.values import Table, table_of
from gateway.observe.metrics import Metrics
from gateway.units import Quantity

Schema = Mapping[str, Any]

WIDTH = 100
"""Columns of the help texts."""

LONGEST_BOUND = 1e6
"""Numbers above this are bounds against mistakes, which say nothing to a reader."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    makers: Mapping[str, Callable[[], Iterable[str]]] = {
        "keys": keys,
        "commands": commands,
        "metrics": metrics,
        "admin-api": admin_api,
    }
    for name, make in makers.items():
        text = "\n".join(make()) + "\n"
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    return files


# --- keys ----------------------------------------------------------------------------------------


def keys() -> Iterator[str]:
    """Each table of a configuration, with its keys."""
    yield "# Keys of gateway.toml"
    yield ""
    yield "All keys, with the words that the models have for them. What they mean together, and how durations,"
    yield "sizes and paths are written: [Configuration](../configuration.md). `gateway schema` is for editors."
    yield ""
    yield "Keys with ↻ take a restart to change."
    schema = configuration_schema()["properties"]
    yield from table("[server]", schema["server"], TABLES["server"])
    yield from table("[admin]", schema["admin"], TABLES["admin"])
    yield from table("[defaults]", schema["defaults"], TABLES["defaults"])
    yield from table("[[components]]", schema["components"]["items"], TABLES["components"])


def table(title: str, schema: Schema, model: type[Table]) -> Iterator[str]:
    """A table, and the tables within it."""
    yield from (
        "",
        f"## `{title}`",
        "",
        " ".join((sentence(schema["description"]), *one_of(schema))),
        "",
    )
    yield from ("| key | takes | default | |", "|-----|-------|---------|-|")
    inner = []
    path = title.strip("[]")
    for key, field in model.model_fields.items():
        name = field.alias or key
        found = schema["properties"][name]
        yield row(
            f"`{name}`" + (" ↻" if RESTART in field.metadata else ""),
            taken(found, field, f"{path}.{name}"),
            default(found, name in schema.get("required", ())),
            meaning(name, found, field),
        )
        if (part := table_of(field.annotation)) is not None:
            inner.append((f"{path}.{name}", part_of(found, part), part))
    for each in inner:
        yield from table(*each)


def one_of(schema: Schema) -> Iterator[str]:
    """The keys of a table of which there must be one, unless its description has them."""
    forms = [form.get("required", ()) for form in schema.get("oneOf", ())]
    if (
        forms
        and all(len(keys) == 1 for keys in forms)
        and "Exactly one" not in schema["description"]
    ):
        yield f"Exactly one of {', '.join(f'`{key}`' for (key,) in forms)} is given."


def part_of(schema: Any, model: type[Table]) -> Schema:
    """The schema of a table, in that of a key that has it in some form."""
    names = {field.alias or key for key, field in model.model_fields.items()}
    return next(each for each in walk(schema) if names == each.get("properties", {}).keys())


def walk(schema: Any) -> Iterator[Schema]:
    """A schema and those within it."""
    if isinstance(schema, dict):
        yield schema
        for each in schema.values():
            yield from walk(each)
    elif isinstance(schema, list):
        for each in schema:
            yield from walk(each)


def taken(schema: Schema, field: FieldInfo, path: str) -> str:
    """What a key takes, in a few words."""
    quantity = quantity_of(field)
    for kind in get_args(field.annotation):  # one that may be left out
        quantity = quantity or next((it for it in get_args(kind) if isinstance(it, Quantity)), None)
    return form(schema, path) if quantity is None else quantity.name.lower()


def form(schema: Schema, path: str) -> str:
    """What a schema takes; `path` is where its tables are told of."""
    if "enum" in schema:
        return ", ".join(f"`{literal(each)}`" for each in schema["enum"])
    if "anyOf" in schema:
        forms = dict.fromkeys(form(each, path) for each in schema["anyOf"])
        return " or ".join(forms)
    if "properties" in schema:
        return f"[a table](#{anchor(path)})"
    match schema.get("type"):
        case "array":
            return f"list of {form(schema['items'], path)}"
        case "object":
            return f"names, each with {form(schema['additionalProperties'], path)}"
        case "integer" | "number":
            low = schema.get("minimum", schema.get("exclusiveMinimum"))
            high = schema.get("maximum")
            bounds = [f"from {low:,}"] if low is not None else []
            bounds += [f"to {high:,}"] if high is not None and high <= LONGEST_BOUND else []
            return " ".join(["number", *bounds])
        case "boolean":
            return "`true`, `false`"
        case _:
            return "text"


def default(schema: Schema, required: bool) -> str:
    """The default of a key."""
    if required:
        return "required"
    if "default" not in schema:
        return ""
    value = schema["default"]
    return f"`{literal(value)}`"


def literal(value: object) -> str:
    """A value in TOML."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return f'"{value}"'
        case dict():
            pairs = ", ".join(f"{key} = {literal(each)}" for key, each in value.items())
            return f"{{ {pairs} }}" if pairs else "{}"
        case list():
            return f"[{', '.join(map(literal, value))}]"
        case _:
            return f"{value}"


def meaning(key: str, schema: Schema, field: FieldInfo) -> str:
    """What a key is for, and its flag."""
    text = sentence(schema.get("description", "").removesuffix(" A change takes a restart."))
    text = without_none(text)
    flag = flag_of(field)
    return text if flag is None else f"{text} `{flag_name(key, field)}`{{ .flag }}"


# --- commands ------------------------------------------------------------------------------------


def commands() -> Iterator[str]:
    """Each command, as it tells of itself."""
    yield from ("# Commands", "", "What `--help` says of each.")
    program = typer.main.get_command(app)
    yield from command("gateway", program, None)


def command(name: str, told: Any, above: Any) -> Iterator[str]:
    """A command, and those below it; `above` is the context of the one above, whose settings it has."""
    told.rich_markup_mode = None
    context = told.make_context(
        name, [], above, resilient_parsing=True, terminal_width=WIDTH, max_content_width=WIDTH
    )
    yield from ("", f"## {context.command_path}", "", "```text", told.get_help(context), "```")
    for part, inner in getattr(told, "commands", {}).items():
        yield from command(part, inner, context)


# --- metrics -------------------------------------------------------------------------------------

SUFFIXES = {"counter": "_total", "info": "_info"}
"""What the names of samples have behind those of their families."""


def metrics() -> Iterator[str]:
    """Each metric that a gateway has."""
    yield from ("---", "hide: [toc]", "---")  # it would be empty, and the table is wide
    yield "# Metrics"
    yield ""
    yield "What `/metrics` tells Prometheus; a histogram has `_bucket`, `_sum` and `_count`. What to watch:"
    yield "[In production](../production.md)."
    yield from ("", "| metric | type | labels | |", "|--------|------|--------|-|")
    counted = Metrics()
    labels = counted.labels()
    for family in sorted(counted.registry.collect(), key=lambda each: each.name):
        name = family.name + SUFFIXES.get(family.type, "")
        of_family = ", ".join(f"`{label}`" for label in labels.get(family.name, ()))
        yield row(f"`{name}`", family.type, of_family, family.documentation)


# --- the admin API -------------------------------------------------------------------------------


def admin_api() -> Iterator[str]:
    """Each request of the admin API, with its answers."""
    told = document()
    yield "# Admin API"
    yield ""
    yield f"{told['info']['description']} How to put it to use: [The admin API](../admin.md). A gateway has the"
    yield f"whole document, for programs, at `{PREFIX}/openapi.json`."
    for path, item in told["paths"].items():
        for method, operation in item.items():
            if method != "parameters":
                yield from request(method.upper(), path, operation)


def request(method: str, path: str, operation: Mapping[str, Any]) -> Iterator[str]:
    """A request, with its answers."""
    yield from ("", f"## {method} {path}", "", sentence(operation["summary"]))
    if "description" in operation:
        yield from ("", operation["description"])
    scopes = [scope for each in operation["security"] for scope in each["bearer"]]
    yield ""
    yield f"Scope: {', '.join(f'`{each}`' for each in scopes)}." if scopes else "Needs no token."
    if "requestBody" in operation:
        types = ", ".join(f"`{each}`" for each in operation["requestBody"]["content"])
        yield from ("", f"Takes {types}.")
    yield from ("", "| status | content | |", "|--------|---------|-|")
    for status, response in operation["responses"].items():
        types = ", ".join(f"`{each}`" for each in response.get("content", ()))
        yield row(status, types, response["description"])


# --- words ---------------------------------------------------------------------------------------


def row(*cells: str) -> str:
    """A row of a table."""
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def sentence(text: str) -> str:
    """A text with a capital at its beginning and a full stop at its end."""
    text = text[:1].upper() + text[1:]
    return f"{text}." if text and not text.endswith(".") else text


def anchor(path: str) -> str:
    """What leads to the heading of a table."""
    return "".join(each for each in path.lower() if each.isalnum() or each in "-_")
