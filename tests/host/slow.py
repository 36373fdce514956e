"""Components that take an engine long to compile."""

from gateway.wasm.binary import encode
from gateway.wasm.binary.sections import COMPONENT_PREAMBLE, MODULE_PREAMBLE

_BRANCHES = 4000


def slow_component(functions: int = 400) -> bytes:
    """A valid and useless component.

    Args:
        functions: how many it has, of 64 KB each; so many take minutes, and one of them some tenths of a second.
    """
    body = b"".join(
        # x[i] += x[7 i]; if (x[3 i]) x[5 i] = i, for locals x
        b"\x20%c\x20%c\x6a\x21%c\x20%c\x04\x40\x41%c\x21%c\x0b"
        % (at % 97, at * 7 % 97, at % 97, at * 3 % 97, at % 64, at * 5 % 97)
        for at in range(_BRANCHES)
    )
    code = encode.vector([encode.u32(97) + b"\x7f"]) + body + b"\x0b"
    module = MODULE_PREAMBLE + b"".join(
        encode.section(number, encode.vector(items))
        for number, items in (
            (1, [b"\x60\x00\x00"]),
            (3, [b"\x00"] * functions),
            (7, [encode.name("run") + b"\x00\x00"]),
            (10, [encode.u32(len(code)) + code] * functions),
        )
    )
    return COMPONENT_PREAMBLE + b"".join(
        (
            encode.section(1, module),
            encode.section(2, encode.vector([b"\x00\x00\x00"])),
            encode.section(6, encode.vector([b"\x00\x00\x01\x00" + encode.name("run")])),
            encode.section(7, encode.vector([b"\x40\x00\x01\x00"])),
            encode.section(8, encode.vector([b"\x00\x00\x00\x00\x00"])),
            encode.section(11, encode.vector([b"\x00" + encode.name("run") + b"\x01\x00\x00"])),
        )
    )
