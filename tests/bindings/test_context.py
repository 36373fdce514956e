"""What the host functions of an invocation work with."""

from __future__ import annotations

from gateway.bindings.context import Caller, WasiCtx


def test_what_a_label_sees_is_on_behalf_of_the_call_that_is_under_way() -> None:
    ctx = WasiCtx(caller=Caller("component", "first", deadline=1.0))
    labelled = ctx.labelled("cache")
    ctx.choose("other", ["a:b/c"])
    ctx.caller = Caller("component", "second", deadline=2.0)
    assert (labelled.caller, labelled.link_name("a:b/c")) == (ctx.caller, "cache")
    assert labelled.labelled("other").caller is ctx.caller
