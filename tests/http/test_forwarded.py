"""RFC 7239 and X-Forwarded-*: whom to believe about where a request comes from."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.field_lines import FieldLines
from gateway.http.forwarded import Origin, TrustedProxies, effective

PROXIES = TrustedProxies(["10.0.0.0/8", "2001:db8:1::/48"])
PEER = "10.0.0.1"
HOST = "inner.example:8080"
DIRECT = Origin(PEER, "http", HOST)


def origin(
    *headers: tuple[str, str],
    peer: str | None = PEER,
    trusted: TrustedProxies = PROXIES,
    host: bytes | None = HOST.encode(),
) -> Origin:
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    return effective(peer, "http", host, FieldLines(raw), trusted)


def forwarded(*lines: str, peer: str | None = PEER, trusted: TrustedProxies = PROXIES) -> Origin:
    return origin(*[("Forwarded", line) for line in lines], peer=peer, trusted=trusted)


ALL_FIELDS = [
    ("Forwarded", "for=192.0.2.7;proto=https;host=outer.example"),
    ("X-Forwarded-For", "192.0.2.7"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "outer.example"),
]
FORWARDED = ALL_FIELDS[:1]
X_FORWARDED = ALL_FIELDS[1:]
OUTER = Origin("192.0.2.7", "https", "outer.example")


class TestWhoIsBelieved:
    @pytest.mark.parametrize("headers", [FORWARDED, X_FORWARDED, ALL_FIELDS])
    def test_a_trusted_peer(self, headers: list[tuple[str, str]]) -> None:
        assert origin(*headers) == OUTER

    @pytest.mark.parametrize("headers", [FORWARDED, X_FORWARDED, ALL_FIELDS])
    @pytest.mark.parametrize(
        "peer", ["192.0.2.9", "11.0.0.1", "2001:db8:2::1", "testclient", "", None]
    )
    def test_no_other_peer(self, peer: str | None, headers: list[tuple[str, str]]) -> None:
        assert origin(*headers, peer=peer) == Origin("unix" if peer is None else peer, "http", HOST)

    @pytest.mark.parametrize("peer", [PEER, "127.0.0.1", "::1", None])
    def test_nobody_by_default(self, peer: str | None) -> None:
        assert origin(*ALL_FIELDS, peer=peer, trusted=TrustedProxies()) == Origin(
            "unix" if peer is None else peer, "http", HOST
        )

    def test_unix_sockets_only_if_configured(self) -> None:
        trusted = TrustedProxies(["unix"])
        assert origin(*FORWARDED, peer=None, trusted=trusted) == OUTER
        assert origin(*FORWARDED, peer=PEER, trusted=trusted) == DIRECT

    def test_a_trusted_peer_that_says_nothing_is_the_client(self) -> None:
        assert origin() == DIRECT
        assert origin(("X-Forwarded-Port", "1"), ("Forwarded-For", "192.0.2.7")) == DIRECT


class TestTrustedProxies:
    @pytest.mark.parametrize(
        ("entries", "peer", "trusted"),
        [
            (["192.0.2.1"], "192.0.2.1", True),
            (["192.0.2.1"], "192.0.2.2", False),
            (["192.0.2.0/31"], "192.0.2.1", True),
            (["192.0.2.0/31"], "192.0.2.2", False),
            (["0.0.0.0/0"], "203.0.113.9", True),
            (["0.0.0.0/0"], "::1", False),
            (["::/0"], "::1", True),
            (["::1"], "0:0:0:0:0:0:0:1", True),
            (["fe80::/10"], "fe80::1%eth0", True),
            (["192.0.2.1"], "::ffff:192.0.2.1", True),
            (["192.0.2.1"], "::ffff:192.0.2.2", False),
            (["unix", "::1"], None, True),
            (["::1"], None, False),
            (["unix"], "unix", False),
            (["192.0.2.1"], "192.0.2.1:80", False),
            ([ip_network("192.0.2.0/24"), ip_network("::1"), "unix"], "::1", True),
            (["192.0.2.1"], "proxy.example", False),
        ],
    )
    def test_membership(
        self, entries: list[str | IPv4Network | IPv6Network], peer: str | None, trusted: bool
    ) -> None:
        proxies = TrustedProxies(entries)
        for _ in range(2):
            assert (peer in proxies) is trusted

    def test_without_entries_nobody_is_trusted(self) -> None:
        assert PEER not in TrustedProxies()
        assert None not in TrustedProxies([])

    @pytest.mark.parametrize(
        "entry", ["", "proxy.example", "10.0.0.0/33", "10.0.0.1/8", "*", "Unix", "::g"]
    )
    def test_other_entries_are_refused_by_name(self, entry: str) -> None:
        with pytest.raises(ValueError, match=r"does not appear to be|has host bits set") as caught:
            TrustedProxies(["10.0.0.0/8", entry])
        assert entry in str(caught.value)


class TestChains:
    @pytest.mark.parametrize(
        ("chain", "client"),
        [
            (["192.0.2.7"], "192.0.2.7"),
            (["192.0.2.7", "10.0.0.2"], "192.0.2.7"),
            (["192.0.2.7", "10.0.0.3", "10.0.0.2"], "192.0.2.7"),
            # What stands to the left of the first node that is not trusted is made up.
            (["10.9.9.9", "192.0.2.7"], "192.0.2.7"),
            (["127.0.0.1", "192.0.2.7", "10.0.0.2"], "192.0.2.7"),
            # All of the chain may be trusted: a client inside.
            (["10.0.0.3", "10.0.0.2"], "10.0.0.3"),
            (["2001:db8:1::5"], "2001:db8:1::5"),
        ],
    )
    def test_the_client_is_the_first_from_the_right_that_is_not_trusted(
        self, chain: list[str], client: str
    ) -> None:
        assert origin(("X-Forwarded-For", ", ".join(chain))).client == client
        assert origin(*[("X-Forwarded-For", node) for node in chain]).client == client
        assert (
            forwarded(", ".join(f'for="[{n}]"' if ":" in n else f"for={n}" for n in chain)).client
            == client
        )

    def test_the_outermost_trusted_proxy_saw_what_the_client_sent(self) -> None:
        assert forwarded(
            "for=127.0.0.1;proto=http;host=forged.example, "
            "for=192.0.2.7;proto=https;host=outer.example, "
            "for=10.0.0.3;proto=http;host=middle.example",
            "for=10.0.0.2;proto=http;host=inner.example",
        ) == Origin("192.0.2.7", "https", "outer.example")

    def test_what_the_outermost_does_not_say_the_next_one_does(self) -> None:
        assert forwarded(
            "for=192.0.2.7, for=10.0.0.3;proto=https, for=10.0.0.2;proto=http;host=inner.example"
        ) == Origin("192.0.2.7", "https", "inner.example")

    def test_lists_of_one_length_belong_together(self) -> None:
        assert origin(
            ("X-Forwarded-For", "127.0.0.1, 192.0.2.7, 10.0.0.2"),
            ("X-Forwarded-Proto", "gopher, https, http"),
            ("X-Forwarded-Host", "forged.example, outer.example, inner.example"),
        ) == Origin("192.0.2.7", "https", "outer.example")

    def test_of_a_list_of_another_length_the_last_counts(self) -> None:
        assert origin(
            ("X-Forwarded-For", "192.0.2.7, 10.0.0.2"),
            ("X-Forwarded-Proto", "http, http, https"),
            ("X-Forwarded-Host", "outer.example"),
        ) == Origin("192.0.2.7", "https", "outer.example")

    def test_scheme_and_host_without_an_address(self) -> None:
        assert origin(("X-Forwarded-Proto", "https")) == Origin(None, "https", HOST)
        assert origin(("X-Forwarded-Proto", "http, https"), ("X-Forwarded-Host", "a, b")) == Origin(
            None, "https", "b"
        )
        assert forwarded("proto=https;host=outer.example") == Origin(None, "https", "outer.example")

    def test_empty_elements_are_ignored(self) -> None:
        assert origin(
            ("X-Forwarded-For", " , 192.0.2.7,, 10.0.0.2 ,"), ("X-Forwarded-Proto", ",")
        ) == Origin("192.0.2.7", "http", HOST)
        assert forwarded("", ", for=192.0.2.7, ,for=10.0.0.2,").client == "192.0.2.7"
        assert origin(("X-Forwarded-For", ""), ("X-Forwarded-Proto", " ")) == DIRECT
        assert forwarded("") == DIRECT
        assert forwarded(";") == DIRECT


class TestNodes:
    NODES = (
        ("192.0.2.7", "192.0.2.7"),
        ("192.0.2.7:4711", "192.0.2.7"),
        ("192.0.2.7:_port", "192.0.2.7"),
        ("[2001:DB8::17]", "2001:db8::17"),
        ("[2001:db8:0:0::17]:4711", "2001:db8::17"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8::17", "2001:db8::17"),
        ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"),
        ("_gazonk", "_gazonk"),
        ("_SEVKISEK:_x.y-z", "_SEVKISEK"),
        ("unknown", None),
        ("Unknown:80", None),
        ("", None),
        ("_", None),
        ("client.example", None),
        ("192.0.2.256", None),
        ("192.0.2", None),
        ("192.0.2.7:", None),
        ("192.0.2.7:123456", None),
        ("[192.0.2.7]:", None),
        ("[2001:db8::17", None),
        ("[2001:db8::17]x", None),
        ("fe80::1%eth0", None),
        ("1::2::3", None),
        ("192.0.2.7 ", None),
        ("\xe9", None),
    )

    @pytest.mark.parametrize(("node", "client"), NODES)
    def test_in_forwarded(self, node: str, client: str | None) -> None:
        assert forwarded(f'for="{node}";proto=https') == Origin(client, "https", HOST)

    @pytest.mark.parametrize(
        ("node", "client"), [pair for pair in NODES if pair[0].strip() == pair[0] != ""]
    )
    def test_in_x_forwarded_for(self, node: str, client: str | None) -> None:
        assert origin(("X-Forwarded-For", node)) == Origin(client, "http", HOST)

    @pytest.mark.parametrize("node", ["unknown", "_hidden", "rubbish!"])
    def test_the_chain_ends_at_a_node_without_address(self, node: str) -> None:
        client = node if node.startswith("_") else None
        assert origin(("X-Forwarded-For", f"192.0.2.7, {node}, 10.0.0.2")).client == client
        assert forwarded(f"for=192.0.2.7, for={node}, for=10.0.0.2").client == client


class TestForwardedGrammar:
    @pytest.mark.parametrize(
        ("line", "expected"),
        [
            # The examples of RFC 7239 sections 4, 6 and 7.
            ('for="_gazonk"', Origin("_gazonk", "http", HOST)),
            ('For="[2001:db8:cafe::17]:4711"', Origin("2001:db8:cafe::17", "http", HOST)),
            ("for=192.0.2.60;proto=http;by=203.0.113.43", Origin("192.0.2.60", "http", HOST)),
            ("for=192.0.2.43, for=198.51.100.17", Origin("198.51.100.17", "http", HOST)),
            ("for=_hidden, for=_SEVKISEK", Origin("_SEVKISEK", "http", HOST)),
            (
                "for=192.0.2.43,for=198.51.100.17;by=203.0.113.60;proto=http;host=example.com",
                Origin("198.51.100.17", "http", "example.com"),
            ),
            ("FOR=192.0.2.7;PROTO=HTTPS;HOST=A.example", Origin("192.0.2.7", "https", "A.example")),
            ('proto="https";for="192.0.2.7"', Origin("192.0.2.7", "https", HOST)),
            (
                r'for="\1\92.0.2.7";host="a\.example:\8\0"',
                Origin("192.0.2.7", "http", "a.example:80"),
            ),
            (r'by="a\"b, for=1.1.1.1";for=192.0.2.7', Origin("192.0.2.7", "http", HOST)),
            (r'secret="\\";for=192.0.2.7', Origin("192.0.2.7", "http", HOST)),
            ('for=192.0.2.7;ext="";ext2=a', Origin("192.0.2.7", "http", HOST)),
            ("for=192.0.2.7;", Origin("192.0.2.7", "http", HOST)),
            (";;for=192.0.2.7;;proto=https", Origin("192.0.2.7", "https", HOST)),
            ("for=192.0.2.7 ; proto=https", Origin("192.0.2.7", "https", HOST)),
            ("for=192.0.2.6\t,\tfor=192.0.2.7", Origin("192.0.2.7", "http", HOST)),
            ('host="[::1]:80";for=192.0.2.7', Origin("192.0.2.7", "http", "[::1]:80")),
        ],
    )
    def test_well_formed(self, line: str, expected: Origin) -> None:
        assert forwarded(line) == expected

    @pytest.mark.parametrize(
        "line",
        [
            "for",
            "for=",
            "=192.0.2.7",
            "for =192.0.2.7",
            "for= 192.0.2.7",
            "for=192.0.2.7 proto=https",
            "for=192.0.2.7:80",
            "for=[::1]",
            'for="192.0.2.7',
            'for=192.0.2.7"',
            'for="192.0.2.7\\',
            'for="192.0.2.7\\"',
            'for="192.0.2.7"x',
            'for="a\0"',
            'for="\\\n"',
            "for=192.0.2.7;for=192.0.2.7",
            "for=192.0.2.7;For=192.0.2.8",
            "for=192.0.2.7;proto=http;proto=https",
            "for='192.0.2.7, [",
            "fö=a",
            "192.0.2.7",
        ],
    )
    def test_malformed_is_ignored_entirely(self, line: str) -> None:
        assert forwarded(line) == DIRECT
        assert forwarded(line, "for=192.0.2.7;proto=https;host=a") == DIRECT
        assert forwarded("for=192.0.2.7;proto=https;host=a", line) == DIRECT
        assert origin(("Forwarded", line), *X_FORWARDED) == DIRECT

    @given(st.text(st.characters(max_codepoint=255)))
    def test_no_value_raises(self, value: str) -> None:
        result = forwarded(value)
        assert result.scheme in {"http", "https"}

    @given(st.text('for=by;,proto"\\ 1.0_:[]', max_size=40))
    def test_no_value_near_the_grammar_raises(self, value: str) -> None:
        client = origin(("Forwarded", value), ("X-Forwarded-For", value)).client
        if client is not None and not client.startswith("_"):
            ip_address(client)

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["10.0.0.2", "2001:db8:1::2", "192.0.2.7", "_hidden"]),
                st.sampled_from(["http", "https"]),
                st.sampled_from(["a.example", "b.example:8443", "[::1]"]),
            ),
            min_size=1,
            max_size=5,
        )
    )
    def test_both_families_lead_to_the_same_origin(self, hops: list[tuple[str, str, str]]) -> None:
        standard = ", ".join(
            f'for="{f"[{node}]" if ":" in node else node}";proto={proto};host="{host}"'
            for node, proto, host in hops
        )
        nodes, protos, hosts = (", ".join(column) for column in zip(*hops, strict=True))
        older = [
            ("X-Forwarded-For", nodes),
            ("X-Forwarded-Proto", protos),
            ("X-Forwarded-Host", hosts),
        ]
        expected = forwarded(standard)
        assert expected != DIRECT
        assert origin(*older) == expected
        assert origin(("Forwarded", standard), *older) == expected


class TestValidation:
    @pytest.mark.parametrize(
        "proto", ["ftp", "ws", "https:", "javascript", "h2", "http/1.1", "ℌttps"]
    )
    def test_schemes_but_http_and_https_are_ignored(self, proto: str) -> None:
        raw = proto.encode().decode("latin-1")
        assert origin(("X-Forwarded-For", "192.0.2.7"), ("X-Forwarded-Proto", raw)).scheme == "http"
        assert forwarded(f'for=192.0.2.7;proto="{raw}"').scheme == "http"

    @pytest.mark.parametrize(
        "host", ["a b", "a/b", "user@a", "a:b", "a:99999", "<a>", "a:80:80", "\xe9"]
    )
    def test_hosts_that_are_not_valid_are_ignored(self, host: str) -> None:
        assert (
            origin(("X-Forwarded-For", "192.0.2.7"), ("X-Forwarded-Host", host)).authority == HOST
        )
        assert forwarded(f'for=192.0.2.7;host="{host}"').authority == HOST

    @pytest.mark.parametrize("trusted", [PROXIES, TrustedProxies()])
    @pytest.mark.parametrize(
        ("host", "authority"),
        [
            (None, None),
            (b"", None),
            (b"a b", None),
            (b"a,b", "a,b"),
            (b"user@a", None),
            (b"\xff", None),
            (b"A.example:80", "A.example:80"),
            (b"[::1]", "[::1]"),
        ],
    )
    def test_the_host_header(
        self, host: bytes | None, authority: str | None, trusted: TrustedProxies
    ) -> None:
        assert origin(host=host, trusted=trusted) == Origin(PEER, "http", authority)


class TestBothFamilies:
    @pytest.mark.parametrize(
        "line",
        [
            "for=127.0.0.1",
            "for=192.0.2.7;host=forged.example;proto=https",
            "for=192.0.2.7;host=outer.example",
            "host=forged.example",
            "",
        ],
    )
    def test_neither_is_believed_where_they_differ(self, line: str) -> None:
        assert origin(("Forwarded", line), *X_FORWARDED) == DIRECT

    @pytest.mark.parametrize(
        ("header", "client"), [("forwarded", "192.0.2.1"), ("x-forwarded", "192.0.2.2")]
    )
    def test_the_operator_may_say_which_one_the_proxies_maintain(
        self, header: Literal["forwarded", "x-forwarded"], client: str
    ) -> None:
        trusted = TrustedProxies(["10.0.0.0/8"], header=header)
        fields = [("Forwarded", "for=192.0.2.1"), ("X-Forwarded-For", "192.0.2.2")]
        assert origin(*fields, trusted=trusted).client == client
        other = fields[1] if header == "forwarded" else fields[0]
        assert origin(other, trusted=trusted) == DIRECT
        assert origin(("Forwarded", '"'), fields[1], trusted=trusted) == (
            DIRECT if header == "forwarded" else Origin("192.0.2.2", "http", HOST)
        )
