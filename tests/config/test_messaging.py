"""What is said of messages: in a file, and by flags."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli import app
from gateway.config import ConfigError, load, single
from gateway.config.messaging import MessagingGrant, SubscriptionConfig
from tests.harness import GuestPath

ONE = '[[components]]\nname = "shop"\nsource = "shop.wasm"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shop.wasm").write_bytes(b"")
    return tmp_path


def read(folder: Path, text: str) -> MessagingGrant | None:
    (folder / "gateway.toml").write_text(ONE + text)
    return load(folder / "gateway.toml").components[0].messaging


def test_a_table_says_what_is_sent_and_taken(folder: Path) -> None:
    grant = read(
        folder,
        'messaging = { url = "memory:", publish = ["a.>"], '
        'subscriptions = [{ subject = "b.*", queue = "q", max_pending = 0 }, { subject = "c" }] }',
    )
    assert grant is not None
    assert grant.publish == ("a.>",)
    assert [str(each) for each in grant.subscriptions] == ["b.*|q", "c"]
    assert [each.max_pending for each in grant.subscriptions] == [0, 1024]


def test_a_stream_is_named_with_its_consumer(folder: Path) -> None:
    grant = read(
        folder,
        'messaging = { url = "nats://h", subscriptions = [{ subject = "b.*", max_rate = 5, '
        'jetstream = { stream = "S", durable = "d", ack_wait = "1m", retry_delay = "2s" } }] }',
    )
    assert grant is not None
    (subscription,) = grant.subscriptions
    assert str(subscription) == "b.*|S/d"
    assert SubscriptionConfig.parse(str(subscription)) == {
        "subject": "b.*",
        "jetstream": {"stream": "S", "durable": "d"},
    }
    assert subscription.jetstream is not None
    assert (subscription.jetstream.ack_wait, subscription.jetstream.dead_letter) == (60, None)
    delays = [subscription.jetstream.delay(deliveries) for deliveries in (1, 2, 3, 4, 1_000_000)]
    assert delays == [2, 4, 8, 16, 3600]


def test_a_url_alone_grants_nothing_but_answers(folder: Path) -> None:
    grant = read(folder, 'messaging = "memory:"')
    assert grant is not None
    assert (grant.publish, grant.subscriptions) == ((), ())
    assert read(folder, "") is None


@pytest.mark.parametrize(
    ("table", "key", "reason"),
    [
        ("{}", "", "must have either url or url_env"),
        ('{ url = "memory:", publish = ["a..b"] }', ".publish[0]", "must have no empty token"),
        (
            '{ url = "memory:", subscriptions = [{ subject = "a b" }] }',
            ".subscriptions[0].subject",
            "must have no white space",
        ),
        (
            '{ url = "memory:", subscriptions = [{ subject = "a", queue = "*" }] }',
            ".subscriptions[0].queue",
            "must have no wildcard",
        ),
        (
            '{ url = "memory:", subscriptions = [{ subject = "a" }, { subject = "a" }] }',
            ".subscriptions",
            'must not have "a" twice',
        ),
        *(
            (f'{{ url = "nats://h", subscriptions = [{{ subject = "a", {keys} }}] }}', key, reason)
            for keys, key, reason in [
                (
                    'jetstream = { stream = "S" }',
                    ".subscriptions[0].jetstream.durable",
                    "is required",
                ),
                (
                    'jetstream = { stream = "S.T", durable = "d" }',
                    ".subscriptions[0].jetstream.stream",
                    "no dot or slash",
                ),
                (
                    'jetstream = { stream = "S", durable = "d", ack_wait = "10ms" }',
                    ".subscriptions[0].jetstream.ack_wait",
                    "must be between 100ms and 1d",
                ),
                (
                    'queue = "q", jetstream = { stream = "S", durable = "d" }',
                    ".subscriptions[0]",
                    "must have no queue beside jetstream",
                ),
                (
                    'max_pending = 5, jetstream = { stream = "S", durable = "d" }',
                    ".subscriptions[0]",
                    "must have no max_pending beside jetstream",
                ),
                (
                    'jetstream = { stream = "S", durable = "d", dead_letter = "a" }',
                    ".subscriptions[0]",
                    "must not take its own dead letters",
                ),
                (
                    'jetstream = { stream = "S", durable = "d" } }, '
                    '{ subject = "b", jetstream = { stream = "S", durable = "d" }',
                    ".subscriptions",
                    'must not have "S/d" twice',
                ),
            ]
        ),
    ],
)
def test_what_is_wrong_is_told_where_it_is(folder: Path, table: str, key: str, reason: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read(folder, f"messaging = {table}")
    (problem,) = raised.value.problems
    assert problem.key == f"components[0].messaging{key}"
    assert reason in problem.reason


def test_flags_say_the_same(folder: Path) -> None:
    said = {
        "url": "memory:",
        "publish": ["a.>"],
        "subscriptions": [{"subject": "b.*", "queue": "q"}],
    }
    grant = single(folder / "shop.wasm", messaging=said).components[0].messaging
    assert grant == MessagingGrant.model_validate(said)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--messaging", "memory:", "--subscribe", "a..b|q"], "--subscribe: must have no empty"),
        (["--messaging", "memory:", "--publish", "a b"], "--publish: must have no white space"),
        (["--messaging", "memory"], "--messaging: must be a URL"),
        (["--subscribe", "a"], "--subscribe: needs --messaging URL beside it"),
    ],
)
def test_what_is_wrong_with_a_flag_is_told_by_its_name(
    guest: GuestPath, flags: list[str], told: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        CliRunner().invoke(
            app.app, ["serve", str(guest("wat/hello")), *flags], catch_exceptions=False
        )
    assert told in str(raised.value)
