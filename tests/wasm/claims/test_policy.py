"""What is asked of a component."""

from __future__ import annotations

import pytest

from gateway.wasm.claims import (
    KeyKind,
    Policy,
    PublicKey,
    check_pin,
    errors,
    examine,
    judge,
    parse_sha256,
    summary,
)
from gateway.wasm.claims.errors import ClaimsError, InvalidToken, OtherDigest
from tests.wasm.claims.elsewhere import ACCOUNT, NOW, OTHER_ACCOUNT, SUBJECT, custom, signed
from tests.wasm.claims.files import COMPONENT, MODULE

TRUSTED = (PublicKey.parse(ACCOUNT),)
OTHERS = (PublicKey.parse(OTHER_ACCOUNT),)
DIGEST = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("policy", "required"),
    [
        (Policy(), False),
        (Policy(require_signature=True), True),
        (Policy(require_signature=False), False),
        (Policy(trusted_issuers=TRUSTED), True),
        (Policy(require_signature=True, trusted_issuers=TRUSTED), True),
        (Policy(require_signature=False, trusted_issuers=TRUSTED), False),
    ],
)
def test_whether_a_signature_is_required(policy: Policy, required: bool) -> None:
    assert policy.signature_required is required
    assert judge(None, policy).accepted is not required


@pytest.mark.parametrize(
    ("issuers", "accepted"),
    [((), True), (TRUSTED, True), (OTHERS, False), (OTHERS + TRUSTED, True)],
)
def test_any_of_the_trusted_issuers_will_do(issuers: tuple[PublicKey, ...], accepted: bool) -> None:
    for required in (None, True, False):
        policy = Policy(require_signature=required, trusted_issuers=issuers)
        assert examine(signed(MODULE), policy, NOW).accepted is accepted


def test_issuers_count_where_no_signature_is_required() -> None:
    policy = Policy(require_signature=False, trusted_issuers=OTHERS)
    assert examine(MODULE, policy, NOW).accepted
    assert not examine(signed(MODULE), policy, NOW).accepted


def test_a_key_is_trusted_as_what_it_stands_for() -> None:
    user = PublicKey(KeyKind.USER, TRUSTED[0].raw)
    assert not examine(signed(MODULE), Policy(trusted_issuers=(user,)), NOW).accepted


def test_what_cannot_be_read_is_refused_unless_it_is_only_told() -> None:
    error = InvalidToken("the token is none")
    for policy in (Policy(), Policy(require_signature=False)):
        judgement = judge(error, policy)
        assert not judgement.accepted
        assert judgement.refusals == (error,)
        assert judgement.reason == "the token is none"
        assert judgement.verification is None
    assert judge(error, Policy(mode="report")).accepted


def test_what_is_accepted_has_no_reason() -> None:
    judgement = examine(signed(MODULE), Policy(trusted_issuers=TRUSTED), NOW)
    assert (judgement.accepted, judgement.refusals, judgement.reason) == (True, (), "")
    assert judgement.verification is not None


def test_every_kind_of_refusal_has_a_word_of_its_own() -> None:
    classes = [
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, ClaimsError)
    ]
    assert len({cls.kind for cls in classes}) == len(classes)
    assert {cls.__name__ for cls in classes} < set(errors.__all__)


def test_a_refusal_can_be_told_of_a_place() -> None:
    error = InvalidToken("wrong").at("app.wasm")
    assert isinstance(error, InvalidToken)
    assert str(error) == "app.wasm: wrong"


class TestSummary:
    def test_of_a_signed_file(self) -> None:
        binary = signed(
            COMPONENT,
            exp=NOW + 1,
            nbf=NOW - 1,
            wascap_call_alias="echo/x",
            wascap_caps=["wasmcloud:http"],
        )
        assert summary(examine(binary, Policy(), NOW)) == [
            ("issuer", ACCOUNT),
            ("subject", SUBJECT),
            ("name", "echo"),
            ("version", "0.1.2"),
            ("alias", "echo/x"),
            ("revision", "3"),
            ("tags", "a, b"),
            ("capabilities", "wasmcloud:http"),
            ("issued", "2027-01-14T08:00:00Z"),
            ("expires", "2027-01-15T08:00:01Z"),
            ("valid from", "2027-01-15T07:59:59Z"),
            ("signature", "valid"),
            ("content", "as it was signed"),
        ]

    def test_of_one_with_little_to_say(self) -> None:
        binary = signed(
            MODULE,
            wascap_name=None,
            wascap_tags=None,
            wascap_rev=None,
            wascap_ver=None,
        )
        assert summary(examine(binary, Policy(), NOW)) == [
            ("issuer", ACCOUNT),
            ("subject", SUBJECT),
            ("issued", "2027-01-14T08:00:00Z"),
            ("expires", "never"),
            ("valid from", "the beginning"),
            ("signature", "valid"),
            ("content", "as it was signed"),
        ]

    def test_of_an_unsigned_file(self) -> None:
        assert summary(examine(MODULE, Policy(), NOW)) == [("signature", "none")]
        label, told = summary(examine(MODULE, Policy(require_signature=True), NOW))[1]
        assert label == "refused"
        assert told.startswith("it is not signed")

    def test_of_what_cannot_be_read(self) -> None:
        ((label, told),) = summary(
            examine(MODULE + custom("jwt", b"x"), Policy(mode="report"), NOW)
        )
        assert label == "warning"
        assert "three parts" in told

    @pytest.mark.parametrize(
        ("revision", "content"),
        [
            (3, "not what was signed"),
            (2, "not bound: a token of wascap revision 2"),
            (None, "not bound: a token of wascap revision 0"),
        ],
    )
    def test_of_another_content(self, revision: int | None, content: str) -> None:
        binary = signed(MODULE, wascap_hash="x", wascap_revision=revision)
        rows = dict(summary(examine(binary, Policy(), NOW)))
        assert rows["content"].startswith(content)

    def test_is_of_one_line_each_whatever_the_claims(self) -> None:
        evil = "\x1b]0;x\x07\n\r\u202e" * 100
        binary = signed(
            MODULE,
            sub=evil,
            wascap_name=evil,
            wascap_ver=evil,
            wascap_call_alias=evil,
            wascap_tags=[evil],
            wascap_caps=[evil],
        )
        for _, text in summary(examine(binary, Policy(), NOW)):
            assert text.isprintable()
            assert len(text) < 1000


class TestPin:
    @pytest.mark.parametrize(
        "text", [DIGEST, DIGEST.upper(), f"sha256:{DIGEST}", f"SHA256:{DIGEST.upper()}"]
    )
    def test_is_read(self, text: str) -> None:
        assert parse_sha256(text) == DIGEST

    @pytest.mark.parametrize(
        "value",
        [
            "",
            DIGEST[1:],
            f"{DIGEST}0",
            f"g{DIGEST[1:]}",
            f"sha512:{DIGEST}",
            f"{DIGEST}\n",
            7,
            None,
        ],
    )
    def test_is_refused(self, value: object) -> None:
        with pytest.raises(OtherDigest, match="64 hexadecimal digits"):
            parse_sha256(value)

    def test_holds_one_content(self) -> None:
        check_pin(DIGEST, None)
        check_pin(DIGEST, DIGEST)
        with pytest.raises(OtherDigest, match=f"SHA-256 is {DIGEST}, and sha256 pins it to f"):
            check_pin(DIGEST, "f" * 64)
