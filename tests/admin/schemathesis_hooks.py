"""What schemathesis cannot know: which files there are. It loads this module in its own process."""

import os
import re
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import strategies as st

SOURCE = os.environ["ADMIN_TEST_SOURCE"]
FOLDER = os.environ["ADMIN_TEST_FOLDER"]
VALUES = Path(FOLDER, "values.toml")
VALUES.write_text('key = "value"')

# What a component is refused for that no schema can say: entries that are equal, numbers in words that are out of
# range, addresses and ports that are none, checksums.
BEYOND_SCHEMAS = re.compile(
    r"/mounts|/routes/\d+|/routes/\d+/host|/allowed_outbound_hosts/\d+|/trusted_issuers/\d+"
    r"|/max_execution_time|/max_cpu_time|/max_memory|/max_body|/max_queue_time|/log_max_bytes"
    r"|/(keyvalue|blobstore|secrets)/[^/]+/(timeout|max_\w+)"
    r"|/keyvalue/[^/]+"  # bounds of a watch that there is none of
    r"|/links(/\d+/(url|host))?|/wrpc_listen(/\d+)?"
    r"|/messaging/(timeout|max_message|publish/\d+|subscriptions(/\d+)?)"
    r"|/messaging/subscriptions/\d+/(subject|queue|max_pending_bytes|jetstream/\w+)"
)

schemathesis.openapi.media_type("application/wasm", st.just(Path(SOURCE).read_bytes()))

BACKENDS = {"keyvalue": "memory:", "blobstore": "memory:", "secrets": "env:PATH"}
"""URLs of what is there, by the keys that have some."""


def _described(case: Any) -> dict[str, Any] | None:
    """The description of a component in a case that keeps to the schema."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return None
    return case.body if isinstance(case.body, dict) else None


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Puts files in place that are there."""
    described = _described(case)
    if described is not None:
        described["source"] = SOURCE
        for mount in described.get("mounts", ()):
            mount["host"] = FOLDER
        if described.get("config_file") is not None:
            described["config_file"] = str(VALUES)
        for key, url in BACKENDS.items():
            described[key] = {
                name: url if isinstance(grant, str) else _at(url, grant)
                for name, grant in described.get(key, {}).items()
            }
        if isinstance(messaging := described.get("messaging"), dict):
            described["messaging"] = _at("memory:", messaging)


def _at(url: str, grant: dict[str, Any]) -> dict[str, Any]:
    """A grant of a backend that is there."""
    return {key: value for key, value in grant.items() if key != "url_env"} | {"url": url}


@schemathesis.check
def refused_for_what_no_schema_can_say(ctx: Any, response: Any, case: Any) -> None:
    """A component that the schema describes is loaded, but for reasons that are none of the schema's."""
    described = _described(case)
    if described is None or response.status_code != 422:
        return
    problem = response.json()
    if problem["type"].endswith(":component-refused"):
        # The file is not of the digest or the signature that was asked for, needs more memory, or has no routes,
        # and then nothing of it would be served, or the default is another's; or it takes no messages.
        asked = described.keys() & {
            *("sha256", "require_signature", "trusted_issuers", "max_memory"),
            "messaging",
        }
        assert asked or not described.get("routes"), problem
        return
    for error in problem["errors"]:
        pointer = error["pointer"]
        value = described.get(pointer.removeprefix("/"))
        assert BEYOND_SCHEMAS.fullmatch(pointer), error
        assert not pointer.startswith("/max_") or isinstance(value, str), error
