"""The metrics in the form that a scraper accepts."""

from __future__ import annotations

import re
from typing import Final

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.exposition import choose_encoder, generate_latest

from gateway.observe.metrics import Metrics

__all__ = ["exposition"]

_WRITTEN: Final = re.compile(r"[!-:<-~ ]+; version=(0\.0\.4|[12]\.0\.0);[!-~ ]+")
"""Content types that prometheus_client really writes; it repeats whatever higher version it was asked for."""


def exposition(metrics: Metrics, accept: bytes | str) -> tuple[bytes, bytes]:
    """Write the metrics as Prometheus' text format, or as OpenMetrics to who asks for it.

    Only OpenMetrics carries exemplars. Nothing is refused: who accepts neither format gets the text format, as
    from Prometheus' own libraries.

    Args:
        metrics: what to write.
        accept: the value of the `Accept` header, all of them joined with commas; empty where there is none.

    Returns:
        The content type, and the content.
    """
    if isinstance(accept, bytes):
        accept = accept.decode("latin-1")
    try:
        encode, content_type = choose_encoder(accept)
    except (TypeError, ValueError):
        # It compares a version that is no version.
        content_type = ""
    if not _WRITTEN.fullmatch(content_type):
        encode, content_type = generate_latest, CONTENT_TYPE_PLAIN_0_0_4
    return content_type.encode("ascii"), encode(metrics.registry)
