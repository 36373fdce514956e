"""Does with a store what a request asks for, by either draft of wasi:keyvalue.

The body of a request is JSON, `{"draft": 1 or 2, "store": IDENTIFIER, "do": [[OPERATION, ARGUMENT...]...]}`. The
answer is the list of what each came to: values as text in Latin-1, and of one that failed `{"error": CASE}`, after
which nothing more is done. `add` is an addition by `cas` and `swap`, tried until nobody comes between.
"""

import json
from typing import Any

from componentize_py_types import Err, Ok
from wit_world import exports
from wit_world.imports import streams, types
from wit_world.imports import wasi_keyvalue_atomics_0_2_0_draft as atomics1
from wit_world.imports import wasi_keyvalue_atomics_0_2_0_draft2 as atomics2
from wit_world.imports import wasi_keyvalue_batch_0_2_0_draft as batch1
from wit_world.imports import wasi_keyvalue_batch_0_2_0_draft2 as batch2
from wit_world.imports import wasi_keyvalue_store_0_2_0_draft as store1
from wit_world.imports import wasi_keyvalue_store_0_2_0_draft2 as store2

DRAFTS = {1: (store1, atomics1, batch1), 2: (store2, atomics2, batch2)}


class IncomingHandler(exports.IncomingHandler):
    """The export `wasi:http/incoming-handler`."""

    def handle(self, request: types.IncomingRequest, response_out: types.ResponseOutparam) -> None:
        """Answers one request."""
        asked = json.loads(body_of(request))
        store, atomics, batch = DRAFTS[asked["draft"]]
        answer = []
        try:
            with store.open(asked["store"]) as bucket:
                for name, *arguments in asked["do"]:
                    done = perform(atomics, batch, bucket, name, *arguments)
                    answer.append(done.decode("latin-1") if isinstance(done, bytes) else done)
        except Err as error:
            case = error.value
            if isinstance(case, atomics2.CasError_StoreError):
                case = case.value
            answer.append({"error": getattr(case, "value", type(case).__name__)})
        respond(response_out, json.dumps(answer).encode())


def perform(atomics: Any, batch: Any, bucket: Any, name: str, *arguments: Any) -> Any:
    """Does one thing."""
    match name, arguments:
        case "set", (key, value):
            return bucket.set(key, value.encode("latin-1"))
        case "list", ():
            keys, cursor = [], None
            while True:
                page = bucket.list_keys(cursor)
                keys += page.keys
                cursor = page.cursor
                if cursor is None:
                    return sorted(keys)
        case "increment", (key, delta):
            return atomics.increment(bucket, key, delta)
        case "add", (key, delta):
            return add(atomics, bucket, key, delta)
        case "get-many", keys:
            return [
                found and found[1].decode("latin-1") for found in batch.get_many(bucket, list(keys))
            ]
        case "set-many", (values,):
            return batch.set_many(bucket, [(key, values[key].encode("latin-1")) for key in values])
        case "delete-many", keys:
            return batch.delete_many(bucket, list(keys))
    return getattr(bucket, name)(*arguments)


def add(atomics: Any, bucket: Any, key: str, delta: int) -> int:
    """Adds to a number without `increment`."""
    cas = atomics.Cas.new(bucket, key)
    while True:
        total = int(cas.current() or b"0") + delta
        try:
            atomics.swap(cas, str(total).encode())
        except Err as error:
            if not isinstance(error.value, atomics.CasError_CasFailed):
                raise
            cas = error.value.value
        else:
            return total


def body_of(request: types.IncomingRequest) -> bytes:
    """All of a body."""
    body = b""
    with request.consume() as incoming, incoming.stream() as stream:
        try:
            while True:
                body += stream.blocking_read(65536)
        except Err as end:
            if not isinstance(end.value, streams.StreamError_Closed):
                raise
    return body


def respond(response_out: types.ResponseOutparam, document: bytes) -> None:
    """Answers with a JSON document."""
    headers = types.Fields.from_list([("content-type", b"application/json")])
    response = types.OutgoingResponse(headers)
    body = response.body()
    types.ResponseOutparam.set(response_out, Ok(response))
    with body.write() as stream:
        for at in range(0, len(document), 4096):
            stream.blocking_write_and_flush(document[at : at + 4096])
    types.OutgoingBody.finish(body, None)
