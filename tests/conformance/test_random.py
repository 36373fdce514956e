"""wasi:random."""

import pytest

from tests.conformance.probe import Probe

MAX = 512 << 10

BYTES = ["random.get_random_bytes", "insecure.get_insecure_random_bytes"]


@pytest.mark.parametrize("function", BYTES)
def test_the_length_is_exact(probe: Probe, function: str) -> None:
    """wasi:random: exactly as many bytes as were asked for, none included."""
    assert probe(f"""
        result = [len({function}(size)) for size in (0, 1, 31, 4096, 500_003)]
    """) == [0, 1, 31, 4096, 500_003]


@pytest.mark.parametrize("function", BYTES)
@pytest.mark.parametrize("size", [MAX + 1, 2**64 - 1])
def test_too_many_bytes_trap(probe: Probe, function: str, size: int) -> None:
    """wasi:random: more than 512 KiB at once traps (Wasmtime: 64 MiB), from the insecure interface as well."""
    reason = probe.traps(f"{function}({size})")
    assert reason == f"{size} random bytes at once; at most {MAX} are given"


@pytest.mark.parametrize(
    "source",
    [
        "random.get_random_bytes(16)",
        "insecure.get_insecure_random_bytes(16)",
        "[random.get_random_u64() for _ in range(2)]",
        "[insecure.get_insecure_random_u64() for _ in range(2)]",
    ],
)
def test_no_two_are_the_same(probe: Probe, source: str) -> None:
    """wasi:random: in one invocation or in two, 128 bits never come twice."""
    once, again = (probe(f"result = [{source} for _ in range(3)]") for _ in range(2))
    assert len({str(value) for value in (*once, *again)}) == 6


def test_numbers_have_64_bits(probe: Probe) -> None:
    """wasi:random: every bit of a number is set in some and clear in others."""
    for function in ("random.get_random_u64", "insecure.get_insecure_random_u64"):
        some, every = probe(f"""
            some, every = 0, 2**64 - 1
            for _ in range(200):
                number = {function}()
                some, every = some | number, every & number
            result = [some, every]
        """)
        assert (some, every) == (2**64 - 1, 0)


def test_the_insecure_seed_is_constant(probe: Probe) -> None:
    """wasi:random/insecure-seed: the same in all of an invocation, and another in the next."""
    first = probe("result = [insecure_seed.insecure_seed() for _ in range(3)]")
    second = probe("result = [insecure_seed.insecure_seed() for _ in range(3)]")
    assert first == [first[0]] * 3
    assert second == [second[0]] * 3
    assert first != second
