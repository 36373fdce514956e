"""The other ends of links: components of the same gateway, and what is elsewhere."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final, TypeAlias

from gateway.bindings import provided
from gateway.bindings.context import WasiCtx
from gateway.bindings.http.types import IncomingRequest, OutgoingResponse, ResponseOutparam
from gateway.bindings.p3 import http as p3
from gateway.config import ServerConfig
from gateway.config.link import LinkConfig
from gateway.host import wit
from gateway.host.component import Component
from gateway.host.values import MAX_ARGUMENTS, Variant
from gateway.links.json_rpc import JsonRpcTarget
from gateway.links.python import PythonTarget
from gateway.links.remote import Means
from gateway.links.several import SeveralTargets
from gateway.links.target import (
    MAX_TOLD,
    CallFailed,
    CallOutcome,
    LinkedCall,
    LinkMismatch,
    Target,
    uncarried,
)
from gateway.links.whole import as_a_whole, unwaited
from gateway.links.wrpc import WrpcTarget
from gateway.observe.events import LinkedExportReturned, Outcome
from gateway.policy.rate import Rate
from gateway.rpc.procedure import Function
from gateway.serving.admission import NoRoom
from gateway.serving.callees import Callees
from gateway.serving.loaded import HANDLER, INCOMING_HANDLER
from gateway.serving.runtime import Runtime
from gateway.serving.service import Service
from gateway.wasm.version import split_version, track

__all__ = ["Targets"]


class Targets:
    """The other ends of all links of a configuration.

    Args:
        components: all of the gateway, by name.
        server: what the operator said of the server.
        tls: what makes servers trusted.
        runtime: what has the objects that were handed over, and what is told of calls.
    """

    def __init__(
        self,
        components: Mapping[str, Component],
        server: ServerConfig,
        tls: ssl.SSLContext,
        runtime: Runtime,
    ) -> None:
        self._components = components
        self._means = Means(tls, server.rpc_max_result, runtime.tracer)
        self._providers = runtime.providers
        self._on_call = None if runtime.metrics is None else runtime.metrics.link_target_called
        self._inside: list[_ComponentTarget] = []

    def of(self, link: LinkConfig, caller: Component, along: AbstractSet[str]) -> Target:
        """That of one link of a component.

        Args:
            link: what the operator said of it.
            caller: the component.
            along: those of its imports that lead there.

        Raises:
            LinkMismatch: there is no such component or object; the message has a line for each.
        """
        resources = [resource for _, resource in _only_along(caller.imports, along)]
        if link.python is not None:
            return PythonTarget(link.python, self._providers, resources)
        targets: dict[str, Target] = {
            url: self._elsewhere(url, resources) for url in link.url or ()
        }
        wrong: list[str] = []
        for name in link.component or ():
            try:
                targets[name] = self._component(name, None if link.host else caller, along)
            except LinkMismatch as mismatch:
                wrong.append(str(mismatch))
        if wrong:
            raise LinkMismatch("\n".join(wrong))
        if len(targets) == 1:
            return next(iter(targets.values()))
        return SeveralTargets(targets, link.balance, self._on_call)

    def _elsewhere(self, url: str, resources: Collection[wit.Resource]) -> Target:
        if url.startswith("wrpc+"):
            return WrpcTarget(url, self._means, resources)
        return JsonRpcTarget(url, self._means)

    def _component(
        self, name: str, caller: Component | None, along: AbstractSet[str]
    ) -> _ComponentTarget:
        """A component: what it exports to a caller; its handler of HTTP requests, if there is none."""
        component = self._components.get(name)
        if component is None:
            there = ", ".join(f'"{each}"' for each in self._components)
            raise LinkMismatch(
                f'there is no component "{name}", but {there}. Add it, or correct the name.'
            )
        if caller is None:
            target: _ComponentTarget = _HandlerTarget(name, component.exports)
        else:
            exchanged = _exchanged(caller.imports, along, component)
            shared = _shared(caller.imports, component.imports)
            target = _ComponentTarget(
                name, component.exports, shared, exchanged, self._means.max_result
            )
        self._inside.append(target)
        return target

    def bind(self, services: Iterable[Service]) -> None:
        """Lead those that are components to them, now that all are in service."""
        by_name = {service.name: service for service in services}
        for target in self._inside:
            target.service = by_name[target.component]


_FAILURES: Final = {
    Outcome.TRAP: (CallOutcome.TRAPPED, "has failed"),
    Outcome.ERR: (CallOutcome.TRAPPED, "exited, and owed a value"),
    Outcome.DEADLINE: (CallOutcome.LATE, "took too long"),
    Outcome.CPU_TIME: (CallOutcome.LATE, "computed for too long"),
    Outcome.EXHAUSTED: (CallOutcome.BUSY, "is busy"),
    Outcome.CANCELLED: (CallOutcome.FAILED, "was stopped"),
    Outcome.REJECTED: (CallOutcome.FAILED, "has no such resource any more"),
}
"""How a call ended whose function has not returned, and what its caller is told of that."""


_Names: TypeAlias = dict[wit.Type, str]
"""Resources, as own or borrow, and what they are called."""


class _ComponentTarget:
    """A component of the same gateway. Each call is an invocation of it, which the caller's deadline bounds too.

    Args:
        component: its name.
        exports: what it exports.
        shared: the resources that it and its caller have of the gateway, by names that are one for both.
        exchanged: those that are its own, and its caller imports, likewise.
        max_result: elements of lists and bytes of text that a result may have.

    Attributes:
        component: ditto.
        service: it, once it is in service.
    """

    kind = "component"
    remote = False

    def __init__(
        self,
        component: str,
        exports: Mapping[str, wit.Item],
        shared: tuple[_Names, _Names] = ({}, {}),
        exchanged: tuple[_Names, _Names] = ({}, {}),
        max_result: int | None = None,
    ) -> None:
        self.component = component
        self.name = f'component "{component}"'
        self.service: Service | None = None
        self._exports = exports
        self._shared = shared
        self._exchanged = exchanged
        self._max_result = max_result
        self._rate = Rate(MAX_TOLD)

    def calls(self, name: str, interface: wit.Interface) -> Mapping[str, LinkedCall]:
        """`Target.calls`: resources that both have of the gateway are handed over, and its own both ways."""
        full_name, exported = self._find(name)
        shared, exchanged = self._shared[0], self._exchanged[0]
        here, there = shared | exchanged, self._shared[1] | self._exchanged[1]
        wrong: list[str] = []
        for function, ty in interface.functions.items():
            other = exported.functions.get(function)
            if other is None:
                has = ", ".join(exported.functions) or "none"
                wrong.append(f"{function}: {self.name} exports no such function there, but {has}")
            elif (why := uncarried(ty, shared, exchanged)) is not None or (
                why := unwaited(ty)
            ) is not None:
                wrong.append(f"{function}: {why}")
            elif wit.text(wit.carried(ty), here) != wit.text(wit.carried(other), there):
                its = other.over_time or other
                wrong.append(f"{function}: is imported as {ty}, and {self.name} exports {its}")
        if wrong:
            raise LinkMismatch("\n".join(wrong))
        return {
            function: as_a_whole(self._call(full_name, function), ty, MAX_ARGUMENTS)
            for function, ty in interface.functions.items()
        }

    def keeps(self, ctx: WasiCtx) -> bool:
        """`Target.keeps`."""
        return self.service is not None and ctx.of(Callees).get(self.service) is not None

    def gave(self, _resource: object) -> bool:
        """`Target.gave`."""
        return False

    async def aclose(self) -> None:
        """`Target.aclose`."""

    def _find(self, name: str) -> tuple[str, wit.Interface]:
        """The interface of this name, or of a version that is as good."""
        base, version = split_version(name)
        interfaces = {
            each: item for each, item in self._exports.items() if isinstance(item, wit.Interface)
        }
        for full_name in (name, *interfaces):
            its_base, its_version = split_version(full_name)
            if full_name in interfaces and (its_base, track(its_version)) == (base, track(version)):
                return full_name, interfaces[full_name]
        raise LinkMismatch(f"{self.name} does not export it (it exports {self._told})")

    @property
    def _told(self) -> str:
        """The interfaces that it exports by a full name: not what tools leave behind."""
        return ", ".join(each for each in self._exports if ":" in each) or "no interfaces"

    def _call(self, interface: str, name: str) -> LinkedCall:
        found: Function | None = None

        async def call(ctx: WasiCtx, args: Sequence[Any]) -> Any:
            nonlocal found
            service = self._in_service()
            if found is None:
                found = Function(service.linked.export(name, interface=interface))
            return await self._perform(service, found, ctx, lambda: args)

        return call

    def _in_service(self) -> Service:
        if self.service is None:
            raise RuntimeError(f"{self.name} is not in service")
        return self.service

    async def _perform(
        self,
        service: Service,
        function: Function,
        ctx: WasiCtx,
        make_args: Callable[[], Sequence[Any]],
    ) -> Any:
        callees = ctx.of(Callees)
        callee = callees.get(service)
        if callee is None:
            gate, request_id = service.gate, ctx.caller.request_id
            try:
                place = gate.try_enter_within() or await service.wait(gate.enter_within)
            except NoRoom as error:
                service.refused(
                    LinkedExportReturned, Outcome.EXHAUSTED, function.export, request_id
                )
                raise CallFailed(
                    CallOutcome.BUSY, f"{self.name} is busy", str(error), begun=False
                ) from None
            callee = callees.enter(
                service, place, ctx, max_result=self._max_result, reports=self._rate.take
            )
        answer, outcome = await callee.call(function, make_args)
        if isinstance(answer, Exception):
            how, words = _FAILURES.get(outcome, (CallOutcome.FAILED, "has failed"))
            said = f"{self.name} {words}"
            raise CallFailed(how, said, f"{said}: {answer}")
        return answer if function.fallible else answer.value


class _HandlerTarget(_ComponentTarget):
    """A component that answers HTTP requests of others: its argument is a `LinkedRequest`."""

    def calls(
        self,
        name: str,  # noqa: ARG002 - what it exports has another
        interface: wit.Interface,
    ) -> Mapping[str, LinkedCall]:
        """`Target.calls`."""
        handlers = {HANDLER, INCOMING_HANDLER}
        if handlers.isdisjoint(split_version(each)[0] for each in self._exports):
            raise LinkMismatch(
                f"{self.name} exports no {INCOMING_HANDLER} and no {HANDLER} (it exports {self._told})"
            )
        return dict.fromkeys(interface.functions, self._handle)

    async def _handle(self, ctx: WasiCtx, args: Sequence[Any]) -> None:
        service = self._in_service()
        handler = service.handler
        if handler is None:
            raise RuntimeError(f"{self.name} has no handler")
        (request,) = args
        kind = p3.Request if service.linked.component.concurrent else IncomingRequest
        answers: list[OutgoingResponse | Variant] = []

        def answer(response: OutgoingResponse | Variant) -> None:
            answers.append(response)
            request.respond(response)

        def make_args() -> Sequence[Any]:
            return request.make(kind, service.config.max_body), ResponseOutparam(answer)

        def left() -> None:
            if (callee := ctx.of(Callees).get(service)) is not None:
                callee.go_on()

        request.on_left = left
        if (task := asyncio.current_task()) is not None:
            service.goes_on(task)
        await self._perform(service, Function(handler), ctx, make_args)
        if not answers:
            raise CallFailed(
                CallOutcome.FAILED,
                f"{self.name} gave no response",
                "guest never invoked `response-outparam::set` method",
            )


def _shared(here: Mapping[str, wit.Item], there: Mapping[str, wit.Item]) -> tuple[_Names, _Names]:
    """The resources that two components import from interfaces of the gateway's, each with one name for both."""
    ours, theirs = _resources(here), _resources(there)
    names_here: dict[wit.Type, str] = {}
    names_there: dict[wit.Type, str] = {}
    for name in ours.keys() & theirs.keys():
        own = wit.Own(ours[name])
        names_here.setdefault(own, name)
        names_there.setdefault(wit.Own(theirs[name]), names_here[own])
    return names_here, names_there


def _exchanged(
    imports: Mapping[str, wit.Item], along: AbstractSet[str], callee: Component
) -> tuple[_Names, _Names]:
    """The resources of a component that its caller imports from it, and from nowhere else, as `_shared`."""
    theirs = dict(_named(callee.exports.items()))
    names_here: _Names = {}
    names_there: _Names = {}
    for name, mine in _only_along(imports, along):
        its = theirs.get(name)
        if its is not None and its in callee.drops:
            said = names_here.setdefault(wit.Own(mine), name)
            names_there.setdefault(wit.Own(its), said)
            names_here[wit.Borrow(mine)] = names_there[wit.Borrow(its)] = f"borrow<{said}>"
    return names_here, names_there


def _only_along(
    imports: Mapping[str, wit.Item], along: AbstractSet[str]
) -> Iterator[tuple[str, wit.Resource]]:
    """The resources of some imports that no other import has, as `_named`."""
    others = [it for _, it in _named((each, imports[each]) for each in imports.keys() - along)]
    for name, resource in _named((each, imports[each]) for each in along):
        if resource not in others:
            yield name, resource


def _named(items: Iterable[tuple[str, wit.Item]]) -> Iterator[tuple[str, wit.Resource]]:
    """The resources of interfaces, with interface, track of versions and name."""
    for name, item in items:
        if isinstance(item, wit.Interface):
            base, version = split_version(wit.interface_name(name, item))
            for local, resource in item.resources.items():
                yield f"{base}@{track(version)}.{local}", resource


def _resources(imports: Mapping[str, wit.Item]) -> dict[str, wit.Resource]:
    """The resources of imported interfaces that the gateway provides, as `_named`."""
    return dict(_named(each for each in imports.items() if provided().interface(each[0])))
