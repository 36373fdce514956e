"""Tests of components: fakes for what they reach, and a component with them, opened or served.

Its plugin of pytest, `gateway.pytest_plugin`, has fixtures for the same. The distribution is called
component-gateway and its package `gateway`, so this is `gateway.testing`: a second package would be there for this
name alone.
"""

from gateway.testing.clock import Clock
from gateway.testing.key_value import KeyValue
from gateway.testing.outbound import Outbound, SentRequest
from gateway.testing.secret_store import Secrets
from gateway.testing.tested_component import TestedComponent, with_fakes

__all__ = [
    "Clock",
    "KeyValue",
    "Outbound",
    "Secrets",
    "SentRequest",
    "TestedComponent",
    "with_fakes",
]
