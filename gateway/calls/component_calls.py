"""Calls of one component in service, made by Python code of the same process.

Such a call is an invocation like any other: it takes its place among those in flight, has the deadline and the
limits of the component, and is told of by a return event. Its values never are text.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

from gateway.calls.errors import (
    Busy,
    CallFailed,
    Exited,
    GatewayFailed,
    InvalidArguments,
    Late,
    NotFound,
    ResultTooLarge,
    Stopped,
    Trapped,
)
from gateway.calls.typed_method import TypedMethod
from gateway.calls.types import types_of
from gateway.host import errors
from gateway.host.pieces import of_any_length
from gateway.host.values import Err, Ok
from gateway.links.python_values import WrongValue
from gateway.observe.events import Cancelled, DynamicExportReturned, Interrupted, Outcome
from gateway.serving.admission import Closed, NoRoom, Place
from gateway.serving.call import Call
from gateway.serving.service import Service

__all__ = ["ComponentCalls"]


class ComponentCalls:
    """Calls of a component's methods with Python's values.

    Args:
        service: the component.
        max_result: elements of lists and bytes of text that a result may have.
    """

    def __init__(self, service: Service, max_result: int) -> None:
        self._service = service
        self._max_result = max_result
        self._types = types_of(service.linked.component)
        self._methods: dict[str, TypedMethod] = {}

    @property
    def types(self) -> SimpleNamespace:
        """The classes of its values, by the names that `gateway client` gives them."""
        return self._types.namespace

    def method(self, name: str) -> TypedMethod:
        """A method by one of its names.

        Raises:
            NotFound: it has no such method.
        """
        found = self._methods.get(name)
        if found is None:
            methods = self._service.methods
            method = methods.by_name.get(name)
            if method is None:
                raise NotFound(
                    f"component {self._service.name} has no method {name}: {methods.meant(name)}"
                )
            found = TypedMethod(method, self._service.linked, self._types)
            self._methods[name] = found
        return found

    async def call(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Call a method.

        Args:
            name: one of its names.
            args: its arguments, or the first of them.
            kwargs: the others, by the names that a typed client has for them.

        Returns:
            What it returned: the ok side of a `result`.

        Raises:
            CallFailed: it returned nothing; each subclass says why.
        """
        method = self.method(name)
        request_id = os.urandom(16).hex()
        with await self._enter(method, request_id) as place:
            try:
                values = await of_any_length(partial(method.arguments, args, kwargs))
            except (TypeError, WrongValue) as error:
                said = f"{name}: {error}; it is {method.method.type}"
                raise InvalidArguments(said) from None
            except errors.Exhausted as error:
                self._refuse(method, request_id)
                raise Busy(f"{name}: {error}", request_id=request_id) from None
            answer = await self._perform(method, values, place, request_id)
            if isinstance(answer, Exception):
                raise _failed(name, answer, request_id) from (
                    None if isinstance(answer, errors.InvocationError) else answer
                )
            value = await of_any_length(partial(method.value, answer))
        if method.error is not None and isinstance(answer, Err):
            raise method.error(value, request_id=request_id)
        return value

    async def _enter(self, method: TypedMethod, request_id: str) -> Place:
        try:
            return self._service.gate.try_enter() or await self._service.wait()
        except Closed as closed:
            raise Stopped(str(closed)) from None
        except NoRoom as error:
            self._refuse(method, request_id)
            raise Busy(str(error), request_id=request_id) from None

    async def _perform(
        self, method: TypedMethod, values: Sequence[Any], place: Place, request_id: str
    ) -> Ok | Err | Exception:
        with Call(
            self._service,
            method.export,
            values,
            place=place,
            event=DynamicExportReturned,
            request_id=request_id,
            in_pieces=True,
            max_result=self._max_result,
        ) as call:
            return await call.perform(method)

    def _refuse(self, method: TypedMethod, request_id: str) -> None:
        self._service.refused(DynamicExportReturned, Outcome.EXHAUSTED, method.export, request_id)


def _failed(name: str, failure: Exception, request_id: str) -> CallFailed:
    """The exception for what ended an invocation."""
    said = f"{name}: {failure}"
    match failure:
        case errors.Trap():
            return Trapped(
                said, kind=failure.kind, backtrace=failure.backtrace, request_id=request_id
            )
        case errors.Exit():
            return Exited(said, status=failure.status, request_id=request_id)
        case errors.DeadlineExceeded():
            return Late(said, request_id=request_id)
        case errors.Exhausted():
            return Busy(said, request_id=request_id)
        case errors.ResultTooLarge():
            return ResultTooLarge(said, request_id=request_id)
        case Interrupted() | Cancelled():
            return Stopped(said, request_id=request_id)
    return GatewayFailed(f"{name}: the gateway failed", request_id=request_id)
