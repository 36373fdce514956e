"""The one module that knows wasmtime's C API, and all that is private in wasmtime-py.

wasmtime-py serves the rest of `gateway.host` for engines, components, linkers and the introspection of types.
Values, host functions and calls go through here instead, because its own conversions rebuild the types at every
call, take `list<u8>` byte by byte, keep the last host exception in a global that threads share, and have no
asynchronous calls.

The library is loaded twice. Calls that run guest code go through `_released`, which gives up the GIL so that the
epoch ticker can run; short calls go through `_held`, which does not and is cheaper.

Memory of the library is read and written through arrays laid over the whole address space: `words[a >> 3]` is the
64-bit word at address `a`. That costs some 50 ns an access, where a `ctypes.Structure` costs ten times as much.
Whatever address is used comes from the library and is valid by its contract; nothing else may be used here.

The layouts relied upon are those of wasmtime 50.0.1 (`wasmtime/component/val.h`, `wasmtime/async.h`), which is why
the package pins that version. Little-endian, 64-bit machines only, as is wasmtime-py itself.

Host functions run on the stacks of fibers, which CPython's own C API is told of here too, where it has to know.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import (
    c_bool,
    c_char_p,
    c_double,
    c_float,
    c_int64,
    c_size_t,
    c_uint32,
    c_uint64,
    c_void_p,
)
from functools import partial
from typing import Any, Final

from wasmtime import Config, GlobalType, ValType, WasmtimeError
from wasmtime import _ffi as ffi
from wasmtime._bindings import dll  # type: ignore[attr-defined]
from wasmtime.component import FutureType, LinkerInstance, ResourceType, StreamType
from wasmtime.component._types import valtype_from_ptr

__all__ = [
    "PROTECTS_STACKS",
    "AsyncHostCallback",
    "HostCallback",
    "ResourceDestructor",
    "add_func",
    "add_func_async",
    "add_resource",
    "address_of",
    "call_async",
    "carried_type",
    "continuation_callback",
    "doubles",
    "error_new",
    "export_func",
    "floats",
    "future_delete",
    "future_poll",
    "increment_epoch",
    "instantiate_async",
    "is_async",
    "memory_copy",
    "memory_data",
    "memory_grow",
    "memory_size",
    "name_memory",
    "new_bytes",
    "new_flags",
    "new_list",
    "new_record",
    "new_tuple",
    "new_value",
    "protect_stack",
    "resource_any_delete",
    "resource_clone",
    "resource_delete",
    "resource_from_value",
    "resource_new",
    "resource_rep",
    "resource_to_value",
    "set_async_stack_size",
    "set_concurrency",
    "set_continuation",
    "set_epoch_deadline",
    "set_growing_memories",
    "set_pooling",
    "store_delete",
    "store_delete_apart",
    "store_new",
    "string_at",
    "take_error",
    "unprotect_stack",
    "value_delete",
    "words",
]

_released: Final = ctypes.CDLL(dll._name)
_held: Final = ctypes.PyDLL(dll._name)


def _function(library: Any, name: str, result: Any, *parameters: Any) -> Callable[..., Any]:
    function = library[
        name
    ]  # a new object each time: the types of wasmtime-py's own stay as they are
    function.restype = result
    function.argtypes = parameters
    return function  # type: ignore[no-any-return]


def address_of(managed: Any) -> int:
    """The address behind an object of wasmtime-py. The object must outlive every use of it."""
    address = ctypes.cast(managed.ptr(), c_void_p).value
    if address is None:
        raise ValueError("null pointer")
    return address


# --- memory ------------------------------------------------------------------------------------------------

# Sized for addresses of 52 bits: 64-bit ARM hands out more than the 47 of x86-64.
words: Final = (c_uint64 * (1 << 49)).from_address(0)
"""The address space as 64-bit words."""
doubles: Final = (c_double * (1 << 49)).from_address(0)
"""The address space as `f64`."""
floats: Final = (c_float * (1 << 50)).from_address(0)
"""The address space as `f32`."""

string_at: Final = ctypes.string_at


def memory_copy(destination: int, source: bytearray) -> None:
    """Copy the whole of `source` to an address."""
    if source:
        # Not an array of that length: ctypes would make a class for every length there is.
        start = ctypes.c_char.from_buffer(source)
        ctypes.memmove(destination, ctypes.addressof(start), len(source))


# --- values ------------------------------------------------------------------------------------------------

new_bytes: Final = _function(_held, "wasm_byte_vec_new", None, c_void_p, c_size_t, c_char_p)
"""`(address, size, data)`: a string at an address, copied from `data`."""
new_list: Final = _function(
    _held, "wasmtime_component_vallist_new_uninit", None, c_void_p, c_size_t
)
"""`(address, size)`: a list of `size` times `false`. Likewise the three below."""
new_tuple: Final = _function(
    _held, "wasmtime_component_valtuple_new_uninit", None, c_void_p, c_size_t
)
new_record: Final = _function(
    _held, "wasmtime_component_valrecord_new_uninit", None, c_void_p, c_size_t
)
new_flags: Final = _function(
    _held, "wasmtime_component_valflags_new_uninit", None, c_void_p, c_size_t
)
value_delete: Final = _function(_held, "wasmtime_component_val_delete", None, c_void_p)
"""`(address)`: free all that the value at an address owns."""

_false = (c_uint64 * 4)()
_false_address: Final = ctypes.addressof(_false)
new_value: Final = partial(
    _function(_held, "wasmtime_component_val_new", c_void_p, c_void_p), _false_address
)
"""`()`: a value on the library's heap, `false` for now, for its parent to own."""


# --- resources ---------------------------------------------------------------------------------------------

resource_from_value: Final = _function(
    _held, "wasmtime_component_resource_any_to_host", c_void_p, c_void_p, c_void_p, c_void_p
)
"""`(context, resource, out) -> error`: the host's side of a resource that a guest passed.

Every borrow must come through here in the call that receives it: the engine lends it for that call, and traps if
it is not handed back."""
resource_to_value: Final = _function(
    _held, "wasmtime_component_resource_host_to_any", c_void_p, c_void_p, c_void_p, c_void_p
)
"""`(context, host, out) -> error`: what a value has of a resource, as the store knows it."""
resource_new: Final = _function(
    _held, "wasmtime_component_resource_host_new", c_void_p, c_bool, c_uint32, c_uint32
)
"""`(owned, rep, type)`: the host's side of a resource, by its number and that of its type."""
resource_rep: Final = _function(_held, "wasmtime_component_resource_host_rep", c_uint32, c_void_p)
"""`(host)`: its number."""
resource_delete: Final = _function(_held, "wasmtime_component_resource_host_delete", None, c_void_p)
"""`(host)`: free it. The resource stays."""
resource_clone: Final = _function(
    _held, "wasmtime_component_resource_any_clone", c_void_p, c_void_p
)
"""`(resource)`: one more of what a value has of a resource, which stays the same one."""
resource_any_delete: Final = _function(
    _held, "wasmtime_component_resource_any_delete", None, c_void_p
)
"""`(resource)`: free what a value had of a resource. The resource stays."""


# --- errors ------------------------------------------------------------------------------------------------

_error_new = _function(_held, "wasmtime_error_new", c_void_p, c_char_p)


def error_new(message: str) -> int:
    """An error for the engine, which owns it: what a host function returns to stop its guest."""
    return _error_new(message.encode().replace(b"\0", b"\\0"))  # type: ignore[no-any-return]


def take_error(address: int) -> WasmtimeError:
    """Take ownership of an error that the library returned."""
    return WasmtimeError._from_ptr(
        ctypes.cast(c_void_p(address), ctypes.POINTER(ffi.wasmtime_error_t))
    )


# --- stores, instances, calls ------------------------------------------------------------------------------

_store_new = _function(_held, "wasmtime_store_new", c_void_p, c_void_p, c_void_p, c_void_p)
_store_context = _function(_held, "wasmtime_store_context", c_void_p, c_void_p)
_store_limiter = _function(
    _held, "wasmtime_store_limiter", None, c_void_p, c_int64, c_int64, c_int64, c_int64, c_int64
)
set_epoch_deadline: Final = _function(
    _held, "wasmtime_context_set_epoch_deadline", None, c_void_p, c_uint64
)
"""`(context, ticks)`: how many ticks from now on the guest may run before it yields."""
_yield_at_epoch = _function(
    _held, "wasmtime_context_epoch_deadline_async_yield_and_update", c_void_p, c_void_p, c_uint64
)

store_delete: Final = _function(_held, "wasmtime_store_delete", None, c_void_p)
"""`(store)`: free a store and every instance in it. No future of it may be left."""
store_delete_apart: Final = _function(_released, "wasmtime_store_delete", None, c_void_p)
"""The same, to be called by another thread: a store runs nothing of ours when it goes."""


def store_new(
    engine: int, max_memory: int, max_table_elements: int, max_memories: int, max_tables: int
) -> tuple[int, int]:
    """A store whose guest yields at every tick of the epoch.

    Args:
        engine: the engine's address.
        max_memory: the most that one linear memory may grow to, in bytes.
        max_table_elements: the most that one table may grow to.
        max_memories: how many memories there may be, -1 for any number.
        max_tables: how many tables, likewise.

    Returns:
        The addresses of the store and of its context, which host functions are called with.
    """
    store: int = _store_new(engine, None, None)
    context: int = _store_context(store)
    _store_limiter(store, max_memory, max_table_elements, -1, max_tables, max_memories)
    set_epoch_deadline(context, 1)
    _yield_at_epoch(context, 1)
    return store, context


instantiate_async: Final = _function(
    _held,
    "wasmtime_component_linker_instantiate_async",
    c_void_p,
    *(c_void_p,) * 5,
)
"""`(linker, context, component, instance out, error out)`: the future of an instance."""
call_async: Final = _function(
    _held,
    "wasmtime_component_func_call_async",
    c_void_p,
    c_void_p,
    c_void_p,
    c_void_p,
    c_size_t,
    c_void_p,
    c_size_t,
    c_void_p,
)
"""`(func, context, args, count, results, count, error out)`: the future of a call."""
future_poll: Final = _function(_released, "wasmtime_call_future_poll", c_bool, c_void_p)
"""`(future)`: run the guest until it has finished (true), waits in a host function, or its tick is over."""
future_delete: Final = _function(_held, "wasmtime_call_future_delete", None, c_void_p)
"""`(future)`: cancel the guest wherever it is, and free its stack. Comes before its store's deletion."""
export_func: Final = _function(
    _held,
    "wasmtime_component_instance_get_func",
    c_bool,
    c_void_p,
    c_void_p,
    c_void_p,
    c_void_p,
)
"""`(instance, context, export index, func out)`: whether the instance has that function."""

increment_epoch: Final = _function(_held, "wasmtime_engine_increment_epoch", None, c_void_p)
"""`(engine)`: one tick. Safe from any thread."""


is_async: Final = _function(_held, "wasmtime_component_func_type_async", c_bool, c_void_p)
"""`(function type)`: whether it is an `async func`, which wasmtime-py does not tell."""


# --- memories of core instances ----------------------------------------------------------------------------

# `wasmtime_memory_t` names a memory by three numbers: of its store, of its core instance in there, and its own in
# that. The C API gives such names to embedders of core modules only, but takes them whoever made them. A store
# counts its core instances in the order in which they are made; number 0 is one of the engine's own, which has no
# memory. The engine ends the process for a number that is none.
_constant: Final = GlobalType(ValType.i32(), mutable=False)
_constant_address: Final = address_of(_constant)
_name = (c_uint64 * 3)()
_name_address: Final = ctypes.addressof(_name)
_global_new = _function(
    _held, "wasmtime_global_new", c_void_p, c_void_p, c_void_p, c_void_p, c_void_p
)
_memory_grow = _function(
    _held, "wasmtime_memory_grow", c_void_p, c_void_p, c_void_p, c_uint64, c_void_p
)

memory_data: Final = _function(_held, "wasmtime_memory_data", c_void_p, c_void_p, c_void_p)
"""`(context, memory)`: where its bytes are now."""
memory_size: Final = _function(_held, "wasmtime_memory_data_size", c_size_t, c_void_p, c_void_p)
"""`(context, memory)`: how many it has now."""


def name_memory(name: int, context: int, instance: int, number: int) -> None:
    """Write the name of the first memory of a core instance.

    Args:
        name: the address of the three words that it takes.
        context: the store's.
        instance: the address of the component instance's name; zeroes until there is one.
        number: how many core instances were made in the store before this one. It must have a memory.
    """
    store = words[instance >> 3]
    if not store:
        # A guest that begins to run while it is made. The name of a global, too, begins with the store's number.
        if error := _global_new(context, _constant_address, _false_address, _name_address):
            raise take_error(error)
        store = _name[0]
    words[name >> 3] = store
    words[(name >> 3) + 1] = number + 1
    words[(name >> 3) + 2] = 0


def memory_grow(context: int, memory: int, pages: int) -> bool:
    """Grow a memory by pages of 64 KiB; returns whether that could be done."""
    before = c_uint64()
    error = _memory_grow(context, memory, pages, ctypes.byref(before))
    if error:
        take_error(error)
    return not error


# --- host functions ----------------------------------------------------------------------------------------

HostCallback: Final = ctypes.CFUNCTYPE(
    c_void_p, c_void_p, c_void_p, c_void_p, c_size_t, c_size_t, c_size_t, c_size_t
)
"""`(env, context, type, args, count, results, count) -> error`; the type is on the stack of the guest's fiber."""
AsyncHostCallback: Final = ctypes.CFUNCTYPE(None, c_void_p, c_void_p, c_void_p, *(c_size_t,) * 6)
"""`(env, context, type, args, count, results, count, error out, continuation out)`; the type as above."""
ResourceDestructor: Final = ctypes.CFUNCTYPE(c_void_p, c_void_p, c_void_p, c_uint32)
"""`(env, context, rep) -> error`."""
_Continuation = ctypes.CFUNCTYPE(c_bool, c_void_p)

_add_func = _function(
    _held,
    "wasmtime_component_linker_instance_add_func",
    *(c_void_p, c_void_p, c_char_p, c_size_t, c_void_p, c_void_p, c_void_p),
)
_add_func_async = _function(
    _held,
    "wasmtime_component_linker_instance_add_func_async",
    *(c_void_p, c_void_p, c_char_p, c_size_t, c_void_p, c_void_p, c_void_p),
)
_add_resource = _function(
    _held,
    "wasmtime_component_linker_instance_add_resource",
    *(c_void_p, c_void_p, c_char_p, c_size_t, c_void_p, c_void_p, c_void_p, c_void_p),
)


def add_func(linker: LinkerInstance, name: str, callback: Any) -> None:
    """Define a host function by its `HostCallback`, which must outlive the linker.

    Raises:
        WasmtimeError: the linker refused the name.
    """
    _define(_add_func, linker, name, callback)


def add_func_async(linker: LinkerInstance, name: str, callback: Any) -> None:
    """Define a host function that may suspend its guest, by its `AsyncHostCallback`."""
    _define(_add_func_async, linker, name, callback)


def _define(add: Callable[..., Any], linker: LinkerInstance, name: str, callback: Any) -> None:
    encoded = name.encode()
    function = ctypes.cast(callback, c_void_p).value
    if error := add(address_of(linker), encoded, len(encoded), function, None, None):
        raise take_error(error)


def add_resource(linker: LinkerInstance, name: str, host_id: int, destructor: Any) -> None:
    """Define a resource type by its number and its `ResourceDestructor`, which must outlive the linker."""
    encoded = name.encode()
    function = ctypes.cast(destructor, c_void_p).value
    ty = ResourceType.host(host_id)
    if error := _add_resource(
        address_of(linker), encoded, len(encoded), address_of(ty), function, None, None
    ):
        raise take_error(error)


def set_continuation(continuation: int, callback: int, env: int) -> None:
    """Say how an asynchronous host function goes on: `callback(env)` is polled until it is true."""
    word = continuation >> 3
    words[word] = callback
    words[word + 1] = env
    words[word + 2] = 0  # no finalizer


def continuation_callback(ready: Callable[[int], bool]) -> tuple[Any, int]:
    """A callback for `set_continuation`: the object to keep alive, and its address."""
    callback = _Continuation(ready)
    address = ctypes.cast(callback, c_void_p).value
    if address is None:
        raise ValueError("null pointer")
    return callback, address


# --- stacks of fibers --------------------------------------------------------------------------------------

# CPython before 3.14 counts recursions through C code. Since then it compares the stack's pointer with the bounds
# of the thread's own stack: on one that lies elsewhere 3.14.0 ends the process at the first call, and later ones
# do not look at all, so that the stack's end is the end of the process. They can be told the bounds.
_thread_state = _function(ctypes.pythonapi, "PyThreadState_Get", c_void_p)


def _protection(name: str, result: Any, *parameters: Any) -> Callable[..., Any] | None:
    name = f"PyUnstable_ThreadState_{name}StackProtection"
    if not hasattr(ctypes.pythonapi, name):
        return None
    return _function(ctypes.pythonapi, name, result, *parameters)


_set_protection = _protection("Set", ctypes.c_int, c_void_p, c_void_p, c_size_t)
_reset_protection = _protection("Reset", None, c_void_p)


PROTECTS_STACKS: Final = _set_protection is not None
"""Whether this Python has to be told of stacks."""


def protect_stack(top: int, size: int) -> None:
    """Have a recursion through C code end in a `RecursionError` before the end of a fiber's stack.

    To be called before or while this thread runs on that stack. Where it runs on its own instead, no recursion
    through C code ends well until `unprotect_stack`.

    Args:
        top: an address on the stack.
        size: how much of it there is below that address at least, in bytes.
    """
    if _set_protection is not None:
        _set_protection(_thread_state(), top - size, size)


def unprotect_stack() -> None:
    """This thread runs on its own stack again."""
    if _reset_protection is not None:
        _reset_protection(_thread_state())


# --- types -------------------------------------------------------------------------------------------------


def carried_type(ty: StreamType | FutureType) -> Any:
    """The type of what a stream or a future carries, None for nothing, of which wasmtime-py makes a `bool`."""
    read = (
        ffi.wasmtime_component_stream_type_ty
        if isinstance(ty, StreamType)
        else ffi.wasmtime_component_future_type_ty
    )
    carried = ffi.wasmtime_component_valtype_t()
    return valtype_from_ptr(carried) if read(ty.ptr(), ctypes.byref(carried)) else None


# --- configuration -----------------------------------------------------------------------------------------


def set_pooling(config: Config, **settings: int) -> None:
    """Have the engine allocate instances from pools.

    Args:
        config: the configuration to change.
        settings: the names and numbers of `wasmtime_pooling_allocation_config_*_set`.
    """
    pooling = ffi.wasmtime_pooling_allocation_config_new()
    try:
        for name, value in settings.items():
            getattr(ffi, f"wasmtime_pooling_allocation_config_{name}_set")(pooling, value)
        ffi.wasmtime_pooling_allocation_strategy_set(config.ptr(), pooling)
    finally:
        ffi.wasmtime_pooling_allocation_config_delete(pooling)


def set_concurrency(config: Config, *, concurrent: bool) -> None:
    """Have the engine do with, or without, the machinery of the component model's own async (WASI 0.3)."""
    ffi.wasmtime_config_concurrency_support_set(config.ptr(), concurrent)
    ffi.wasmtime_config_wasm_component_model_async_set(config.ptr(), concurrent)


def set_growing_memories(config: Config, *, spare: int, guard: int) -> None:
    """Have linear memories reserve no more address space than they need, and move when they grow.

    Args:
        config: the configuration to change.
        spare: bytes that one which moves may grow by until it moves again.
        guard: bytes after each that nothing may access.
    """
    ffi.wasmtime_config_memory_may_move_set(config.ptr(), True)
    ffi.wasmtime_config_memory_reservation_set(config.ptr(), 0)
    ffi.wasmtime_config_memory_reservation_for_growth_set(config.ptr(), spare)
    ffi.wasmtime_config_memory_guard_size_set(config.ptr(), guard)


def set_async_stack_size(config: Config, size: int) -> None:
    """Set the size of a fiber's stack, in bytes; host functions run on it too."""
    ffi.wasmtime_config_async_stack_size_set(config.ptr(), size)
