"""Builds while a gateway runs: components are made again when what they are made of has changed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Final, Self

import structlog

from gateway.config import ComponentConfig, ConfigError, GatewayConfig, Problem
from gateway.config.build import BuildConfig
from gateway.lifecycle.build import BuildFailed, BuildInterrupted, build
from gateway.lifecycle.sources import sources
from gateway.lifecycle.watch import Watch

__all__ = ["BuildLog", "Builds"]

_log = structlog.get_logger("gateway.build")

_LOOK: Final = 0.2
"""Seconds between two looks at the sources. Arbitrary: two of them pass from an edit to its build, which is little
beside what any build takes; a look at a hundred files takes a millisecond."""

_REST: Final = 9
"""How many times as long as a look takes there is none. Threat: a folder of many files on a slow disk."""


class BuildLog:
    """Hears what becomes of builds, and tells the log. Called by the thread that builds."""

    def begun(self, name: str, command: str) -> None:
        """A component is being built."""
        _log.info("building", component=name, command=command)

    def wrote(self, text: str) -> None:
        """The build under way has written something."""

    def built(self, name: str, seconds: float) -> None:
        """A component was built, in so many seconds."""
        _log.info("built", component=name, seconds=round(seconds, 1))

    def failed(self, name: str, failure: BuildFailed, effect: str) -> None:
        """A component was not built, and what is served of it then, in a clause."""
        _log.error(
            "build failed",
            component=name,
            reason=str(failure),
            output=failure.output,
            effect=effect,
        )


@dataclass(slots=True, eq=False)
class _Source:
    """A component that is built.

    Attributes:
        name: the component's name.
        config: how it is built.
        file: what is made.
        watch: what it is made of.
        due: whether it is to be built.
        tried: whether it ever was, however that ended.
        failure: why it was not, the last time that it was tried.
        made: whether there is something of it to serve, from this run or one before.
    """

    name: str
    config: BuildConfig
    file: Path
    watch: Watch
    due: bool = True
    tried: bool = False
    failure: BuildFailed | None = None
    made: bool = False

    @classmethod
    def of(cls, component: ComponentConfig, config: BuildConfig) -> Self:
        watch = Watch(lambda: sources(config.watch))
        return cls(component.name, config, component.source, watch)

    def is_like(self, other: Self | None) -> bool:
        """Whether another is built in the same way."""
        return other is not None and (other.config, other.file) == (self.config, self.file)

    def look(self) -> bool:
        """Whether it has changed since the last look that said so."""
        if self.watch.changed():
            self.due = True
            return True
        return False


class Builds:
    """Builds components, one after the other, in a thread, from when it is entered until it is stopped.

    Each is built once at first. A build whose sources change is ended, and begins again.

    Args:
        log: hears what becomes of builds.
        leave_out: whether components that never were built are left out of what is served, rather than refused.

    Attributes:
        built: called by the thread whenever a component was built.
        missing: the names of those that were left out.
    """

    def __init__(self, log: BuildLog, *, leave_out: bool = False) -> None:
        self.built: Callable[[], object] = lambda: None
        self.missing: frozenset[str] = frozenset()
        self._log = log
        self._leave_out = leave_out
        self._sources: Mapping[str, _Source] = {}
        self._changed = threading.Condition()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="builds", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End what is being built, and build no more. May be called again."""
        self._stopped.set()
        self._thread.join()

    def update(self, components: Iterable[ComponentConfig]) -> None:
        """Build these components from now on, and no others.

        Args:
            components: those of a configuration; whichever have no `build` do not count.
        """
        before = self._sources
        wanted = [_Source.of(it, it.build) for it in components if it.build is not None]
        sources = {
            it.name: before[it.name] if it.is_like(before.get(it.name)) else it for it in wanted
        }
        with self._changed:
            self._sources = sources
            self._changed.notify_all()

    @property
    def failures(self) -> dict[str, BuildFailed]:
        """Why components were not built, the last time that they were tried, by name."""
        return {it.name: it.failure for it in self._sources.values() if it.failure is not None}

    def wait(self) -> None:
        """Wait until each component has been tried once."""
        with self._changed:
            self._changed.wait_for(lambda: all(it.tried for it in self._sources.values()))

    def present(self, config: GatewayConfig) -> GatewayConfig:
        """A configuration without the components that are to be built and never were.

        Raises:
            ConfigError: there are some, and they are not left out.
        """
        missing = {
            f"components[{index}].source": component
            for index, component in enumerate(config.components)
            if component.build is not None and not component.source.exists()
        }
        if missing and not self._leave_out:
            reason = "is not there: its build failed, or is still to be"
            raise ConfigError(
                Problem("", key, f"{it.source} {reason}") for key, it in missing.items()
            )
        self.missing = frozenset(it.name for it in missing.values())
        left = (it for it in config.components if it.name not in self.missing)
        return config.model_copy(update={"components": tuple(left)})

    def _run(self) -> None:
        pause = 0.0
        while not self._stopped.wait(pause):
            began = monotonic()
            for source in self._sources.values():
                source.look()
            pause = max(_LOOK, _REST * (monotonic() - began))
            if (due := self._due()) is not None:
                self._build(due)
                pause = 0.0

    def _due(self) -> _Source | None:
        return next((it for it in self._sources.values() if it.due), None)

    def _build(self, source: _Source) -> None:
        next_look = monotonic() + _LOOK

        def wanted() -> bool:
            nonlocal next_look
            if self._stopped.is_set() or self._sources.get(source.name) is not source:
                return False
            began = monotonic()
            if began < next_look:
                return True
            changed = source.look()
            next_look = monotonic() + max(_LOOK, _REST * (monotonic() - began))
            return not changed

        source.due = False
        # Looked for before: a build that fails may take the file away, and what was loaded of it is served on.
        source.made = source.made or source.file.exists()
        self._log.begun(source.name, source.config.command)
        begun = monotonic()
        try:
            build(source.config, source.file, show=self._log.wrote, wanted=wanted)
        except BuildInterrupted:
            return
        except BuildFailed as failure:
            source.failure = failure
            self._log.failed(
                source.name,
                failure,
                "what was built before is served on"
                if source.made
                else "nothing of it is served until a build succeeds",
            )
        except Exception as error:  # a bug in it must not end all later builds
            _log.exception("build failed", component=source.name)
            source.failure = BuildFailed(f"an error of the gateway: {error}")
        else:
            source.failure = None
            source.made = True
            self._log.built(source.name, monotonic() - begun)
            self.built()
        with self._changed:
            source.tried = True
            self._changed.notify_all()
