"""Worker: a component that does jobs, which it is sent as messages by whatever broker its operator has chosen.

    submit(text)   puts a job in line, and returns its name
    words(job)     returns what came of it

A job is a message at `jobs.NAME`, and what came of it is in a key-value store, under its name. Who submits a job
does not wait for it: `Handler.handle_message` does it, in an instance of its own, in any worker of any gateway.

A message of a stream may come again, for instance where a worker was killed before it could say that the job is
done. So the same message must come to the same result: whoever writes that again changes nothing.

`wit_world` and `componentize_py_types` are made from `wit/` while the component is built. To have
them on disk too, for an editor or a type checker:

    componentize-py -d wit -w worker bindings .
"""

import uuid

import wit_world
from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import consumer, store
from wit_world.imports.types import BrokerMessage

# The first token of the subjects of jobs; the other is the name of the job.
JOBS = "jobs"

# What the component calls the store of its results. The operator's configuration says where that is.
RESULTS = "results"


class Handler(exports.Handler):
    """The export `wasmcloud:messaging/handler` of the world in `wit/worker.wit`."""

    def handle_message(self, msg: BrokerMessage) -> None:
        """Does a job. An `Err` that is raised has the message delivered again, if it is one of a stream."""
        _, _, job = msg.subject.rpartition(".")
        try:
            text = msg.body.decode()
        except UnicodeDecodeError as error:
            raise Err(f"job {job} is no text") from error
        try:
            with store.open(RESULTS) as results:
                results.set(job, str(len(text.split())).encode())
        except Err as error:
            raise Err(reason(error)) from error


class WitWorld(wit_world.WitWorld):
    """The functions of the world. An `Err` that is raised is the err of their results."""

    def submit(self, text: str) -> str:
        """Puts a job in line. Where the broker has a stream for them, it is there until it is done."""
        job = uuid.uuid4().hex
        consumer.publish(BrokerMessage(f"{JOBS}.{job}", text.encode(), None))
        return job

    def words(self, job: str) -> int | None:
        """Looks whether a job is done, and what came of it."""
        try:
            with store.open(RESULTS) as results:
                found = results.get(job)
        except Err as error:
            raise Err(reason(error)) from error
        return None if found is None else int(found)


def reason(error: Err) -> str:
    """What went wrong with the store, in words."""
    match error.value:
        case store.Error_NoSuchStore():
            return f'there is no store "{RESULTS}": start the gateway with --keyvalue {RESULTS}=memory:'
        case store.Error_AccessDenied():
            return f'the store "{RESULTS}" may not be changed'
        case store.Error_Other(message):
            return message
        case other:
            return str(other)
