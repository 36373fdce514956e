"""What the host provides to components: interfaces of host functions.

A binding declares one `HostInterface` for each WIT interface and decorates plain functions with the names that WIT
gives them. A host function is called with the data of its store and its lifted arguments, and returns the value to
lower. Where WIT says that a function blocks, the host function is declared with `blocking=True` and may be a
coroutine function, or return a coroutine only when it has to wait: the guest sleeps until it is done, and other
guests run meanwhile.

A host function refuses a call that the WIT text says traps by raising `Trap`. A coroutine may do so too; the guest
is cancelled then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias, TypeVar

from gateway.host import wit
from gateway.wasm.version import LIKE_0_3, split_version, track

__all__ = ["Fallible", "HostFunction", "HostInterface", "Provided"]

F = TypeVar("F", bound=Callable[..., Any])
Of: TypeAlias = Callable[[wit.Function], bool]


class Fallible(NamedTuple):
    """What is behind a function of the host that returns an err for what another one raises.

    Whoever has the former, whose attribute `fallible` this is, may call the latter and do the same itself.

    Attributes:
        function: the other one.
        kinds: which exceptions.
        err: makes the err's value of one, or raises a `Trap`.
    """

    function: Callable[..., Any]
    kinds: tuple[type[Exception], ...]
    err: Callable[[Any], Any]

    @staticmethod
    def of(function: Callable[..., Any]) -> Fallible | None:
        """That of a function, if it has any."""
        fallible: Fallible | None = getattr(function, "fallible", None)
        return fallible


@dataclass(frozen=True, slots=True)
class HostFunction:
    """A function of the host.

    Attributes:
        function: called with the store's data and the lifted arguments; returns what is lowered.
        name: what people know it by: its name in WIT, `interface#function` without a version.
        blocking: whether it may return a coroutine instead.
        cuts: whether it takes only the first bytes of a `list<u8>` that is longer than an argument may be
            (`gateway.host.values.MAX_ARGUMENT`). With any other, such a call traps.
        apart: whether it is a blocking coroutine function none of which runs on the guest's fiber, because it may
            run another guest. Its result crosses in pieces where it is large.
    """

    function: Callable[..., Any]
    name: str
    blocking: bool = False
    cuts: bool = False
    apart: bool = False


class HostInterface:
    """The host's side of one WIT interface.

    Args:
        name: the interface without its version, such as `wasi:io/poll`.
        version: any version of the track that it serves, such as `0.2.12`; None for an unversioned name.
        carries_bytes: whether so many bytes pass through it that a component is worth rewriting for their
            sake (`gateway.wasm.byte_blocks`).
        key: the key of a component's configuration that grants what it is for; None where nobody has to grant it.
        only_granted: whether it is linked for those components alone whose configuration has that key, and traps
            for others. Where it is not, its functions say themselves that nothing was granted.
    """

    def __init__(
        self,
        name: str,
        version: str | None,
        *,
        carries_bytes: bool = False,
        key: str | None = None,
        only_granted: bool = False,
    ) -> None:
        self.name = name
        self.version = version
        self.carries_bytes = carries_bytes
        self.key = key
        self.only_granted = only_granted
        self.functions: dict[str, HostFunction] = {}
        self._special: dict[str, list[tuple[Of, HostFunction]]] = {}

    def function(
        self, name: str, *, blocking: bool = False, cuts: bool = False, of: Of | None = None
    ) -> Callable[[F], F]:
        """Declare a free function, by its WIT name.

        Args:
            name: the name.
            blocking: as of `HostFunction`.
            cuts: ditto.
            of: tells from its type in a component whether this is the one that it means, where drafts of an
                interface have other types under one name. One without is for all that none is found for so.
        """

        def declare(function: F) -> F:
            host = HostFunction(function, f"{self.name}#{name}", blocking, cuts)
            if of is not None:
                self._special.setdefault(name, []).append((of, host))
            elif self.functions.setdefault(name, host) is not host:
                raise ValueError(f"{self.name} has {name} already")
            return function

        return declare

    def find(self, name: str, ty: wit.Function) -> HostFunction | None:
        """The function that a component imports by a name and type; None where there is none of that name."""
        for of, host in self._special.get(name, ()):
            if of(ty):
                return host
        return self.functions.get(name)

    def method(
        self, resource: str, name: str, *, blocking: bool = False, cuts: bool = False
    ) -> Callable[[F], F]:
        """Declare a method of a resource."""
        return self.function(f"[method]{resource}.{name}", blocking=blocking, cuts=cuts)

    def static(self, resource: str, name: str, *, blocking: bool = False) -> Callable[[F], F]:
        """Declare a static function of a resource."""
        return self.function(f"[static]{resource}.{name}", blocking=blocking)

    def constructor(self, resource: str) -> Callable[[F], F]:
        """Declare the constructor of a resource."""
        return self.function(f"[constructor]{resource}")


class Provided:
    """All that a host provides, looked up by the full names that components import.

    Args:
        interfaces: what serves all versions of its track.
        named: what serves one full name, in the place of those.
    """

    def __init__(
        self,
        interfaces: Iterable[HostInterface],
        named: Mapping[str, HostInterface] = MappingProxyType({}),
    ) -> None:
        self._named = named
        self._interfaces: Mapping[tuple[str, str | None], HostInterface] = {
            (interface.name, track(interface.version)): interface for interface in interfaces
        }

    def __iter__(self) -> Iterator[HostInterface]:
        """What serves all versions of its track."""
        return iter(self._interfaces.values())

    def interface(self, name: str) -> HostInterface | None:
        """What is provided for an import name such as `wasi:io/poll@0.2.6`, if anything is."""
        if (named := self._named.get(name)) is not None:
            return named
        base, version = split_version(name)
        if version == LIKE_0_3 and base.startswith("wasi:"):
            version = "0.3.0"
        return self._interfaces.get((base, track(version)))

    def carries_bytes(self, name: str) -> bool:
        """Whether many bytes may pass through an import: one that says so, or one that a link may provide."""
        interface = self.interface(name)
        return interface is None or interface.carries_bytes
