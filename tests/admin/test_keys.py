"""The files of keys: what is taken, what is ignored, what is refused and how that is said."""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from gateway.config.token_keys import InvalidKeys, NoKey, read_jwks, read_public_key, read_secret
from tests.admin.issuer import ALGORITHMS, KEYS, jwk, pem, write_jwks


class TestSecret:
    @pytest.mark.parametrize(
        ("size", "algorithms"),
        [
            (32, {"HS256"}),
            (47, {"HS256"}),
            (48, {"HS256", "HS384"}),
            (64, {"HS256", "HS384", "HS512"}),
        ],
    )
    def test_is_for_the_algorithms_that_it_is_long_enough_for(
        self, tmp_path: Path, size: int, algorithms: set[str]
    ) -> None:
        path = tmp_path / "secret"
        path.write_bytes(b"x" * size)
        (key,) = read_secret(path).keys
        assert key.algorithms == algorithms

    def test_short_is_refused_with_what_to_do(self, tmp_path: Path) -> None:
        path = tmp_path / "secret"
        path.write_bytes(b"x" * 31 + b"\n")
        with pytest.raises(InvalidKeys, match=r"31 bytes.*at least 32 .*openssl rand") as refused:
            read_secret(path)
        assert str(path) in str(refused.value)

    @pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
    def test_end_of_line_is_no_part_of_it(self, tmp_path: Path, end: bytes) -> None:
        path = tmp_path / "secret"
        path.write_bytes(b"x" * 32 + end)
        assert read_secret(path).keys[0].material == b"x" * 32

    @pytest.mark.parametrize("kind", ["rsa", "ed25519"])
    def test_public_key_is_none(self, tmp_path: Path, kind: str) -> None:
        path = tmp_path / "secret"
        path.write_bytes(pem(kind))
        with pytest.raises(InvalidKeys, match="not a secret; set public_key_file"):
            read_secret(path)

    def test_jwk_is_none(self, tmp_path: Path) -> None:
        path = tmp_path / "secret"
        path.write_text(json.dumps(jwk("rsa")))
        with pytest.raises(InvalidKeys, match="jwks_file"):
            read_secret(path)

    def test_is_not_shown(self, tmp_path: Path) -> None:
        path = tmp_path / "secret"
        path.write_bytes(b"hunter2" * 8)
        assert "hunter2" not in repr(read_secret(path))

    def test_endless_file_is_not_read(self) -> None:
        with pytest.raises(InvalidKeys, match="more than 1048576 bytes"):
            read_secret(Path("/dev/zero"))

    def test_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidKeys, match=r"No such file or directory: .*secret"):
            read_secret(tmp_path / "secret")


class TestPublicKey:
    @pytest.mark.parametrize("kind", KEYS)
    def test_is_for_the_algorithms_of_its_kind(self, tmp_path: Path, kind: str) -> None:
        path = tmp_path / "key.pem"
        path.write_bytes(pem(kind))
        (key,) = read_public_key(path).keys
        assert key.algorithms == {name for name, needed in ALGORITHMS.items() if needed == kind}

    def test_private_key_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "key.pem"
        path.write_bytes(
            KEYS["p256"].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
        with pytest.raises(InvalidKeys, match=r"private key.*must not know.*-pubout"):
            read_public_key(path)

    def test_short_rsa_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "key.pem"
        short = rsa.generate_private_key(public_exponent=65537, key_size=1024).public_key()  # noqa: S505
        path.write_bytes(short.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        with pytest.raises(InvalidKeys, match="1024 bits, and 2048 are the least"):
            read_public_key(path)

    def test_unknown_curve_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "key.pem"
        other = ec.generate_private_key(ec.SECP256K1()).public_key()
        path.write_bytes(other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        with pytest.raises(InvalidKeys, match="neither RSA nor of the curves"):
            read_public_key(path)

    def test_anything_else_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "key.pem"
        path.write_bytes(b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
        with pytest.raises(InvalidKeys, match="no public key in PEM form"):
            read_public_key(path)


class TestJwks:
    def test_keys_are_found_by_kid(self, tmp_path: Path) -> None:
        path = write_jwks(tmp_path / "jwks", *(jwk(kind, kid=kind) for kind in KEYS))
        keys = read_jwks(path)
        for algorithm, kind in ALGORITHMS.items():
            assert keys.find(kind, algorithm).id == kind

    def test_unknown_kid(self, tmp_path: Path) -> None:
        keys = read_jwks(write_jwks(tmp_path / "jwks", jwk("rsa", kid="1")))
        with pytest.raises(NoKey, match="kid 'elsewhere'"):
            keys.find("elsewhere", "RS256")

    def test_no_kid_is_enough_where_one_key_is_possible(self, tmp_path: Path) -> None:
        keys = read_jwks(write_jwks(tmp_path / "jwks", jwk("rsa", kid="1"), jwk("p256", kid="2")))
        assert keys.find(None, "ES256").id == "2"

    def test_no_kid_is_not_enough_where_two_are(self, tmp_path: Path) -> None:
        other = json.loads(json.dumps(jwk("p256", kid="2")))
        keys = read_jwks(write_jwks(tmp_path / "jwks", jwk("p256", kid="1"), other))
        with pytest.raises(NoKey, match="2 keys"):
            keys.find(None, "ES256")

    def test_alg_of_a_key_is_the_only_one(self, tmp_path: Path) -> None:
        keys = read_jwks(write_jwks(tmp_path / "jwks", jwk("rsa", kid="1", alg="PS256")))
        assert keys.find("1", "PS256").id == "1"
        with pytest.raises(NoKey, match="alg 'RS256'"):
            keys.find("1", "RS256")

    @pytest.mark.parametrize("alg", ["HS256", "none", "ES256", "RSA-OAEP", 7])
    def test_alg_that_disagrees_with_its_key_is_refused(self, tmp_path: Path, alg: Any) -> None:
        path = write_jwks(tmp_path / "jwks", jwk("rsa", kid="1", alg=alg))
        with pytest.raises(InvalidKeys, match=r"keys\[0\]: Its alg is .* a key for PS256"):
            read_jwks(path)

    @pytest.mark.parametrize(
        ("entry", "reason"),
        [
            ({"kty": "oct", "k": "c2VjcmV0"}, "secret_file"),
            ({"kty": "AKP"}, "kty is 'AKP'"),
            ({}, "kty is None"),
            ({"kty": "EC", "crv": "secp256k1"}, "crv is 'secp256k1'"),
            (jwk("rsa", use="enc"), '"use"'),
            (jwk("rsa", key_ops=["encrypt"]), '"key_ops"'),
        ],
    )
    def test_others_are_ignored(self, tmp_path: Path, entry: dict[str, Any], reason: str) -> None:
        found = read_jwks(write_jwks(tmp_path / "jwks", entry, jwk("p256", kid="1")))
        assert [key.id for key in found.keys] == ["1"]
        (told,) = found.ignored
        assert told.startswith("keys[0]: ")
        assert reason in told

    def test_others_alone_are_not_enough(self, tmp_path: Path) -> None:
        path = write_jwks(tmp_path / "jwks", {"kty": "oct", "k": "c2VjcmV0"})
        with pytest.raises(InvalidKeys, match=r"no key that can verify .*secret_file"):
            read_jwks(path)

    def test_private_key_is_refused(self, tmp_path: Path) -> None:
        path = write_jwks(tmp_path / "jwks", jwk("ed25519", d="AAAA"))
        with pytest.raises(InvalidKeys, match="private"):
            read_jwks(path)

    def test_damaged_key_is_refused(self, tmp_path: Path) -> None:
        path = write_jwks(tmp_path / "jwks", jwk("p256", x="AAAA"))
        with pytest.raises(InvalidKeys, match=r"keys\[0\]: Is no key"):
            read_jwks(path)

    def test_same_kid_twice_is_refused(self, tmp_path: Path) -> None:
        path = write_jwks(tmp_path / "jwks", jwk("p256", kid="1"), jwk("p256", kid="1"))
        with pytest.raises(InvalidKeys, match="two keys with the kid '1'"):
            read_jwks(path)

    @pytest.mark.parametrize("text", ["[]", '{"keys": {}}', '{"keys": [1]}', "null"])
    def test_what_is_no_set(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "jwks"
        path.write_text(text)
        with pytest.raises(InvalidKeys, match="no JWK Set"):
            read_jwks(path)

    def test_what_is_no_json(self, tmp_path: Path) -> None:
        path = tmp_path / "jwks"
        path.write_text("{")
        with pytest.raises(InvalidKeys, match="not JSON: line 1"):
            read_jwks(path)
