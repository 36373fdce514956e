"""Requests of plain HTTP, each on a connection of its own: httpx, as patient as all tests are."""

import ssl
from functools import partial
from typing import Final

import httpx

from tests.patience import PATIENCE

_PLAIN: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Left to itself httpx reads the certificates of all authorities for each request: 50 ms of a processor."""

request: Final = partial(httpx.request, timeout=PATIENCE, verify=_PLAIN)
get: Final = partial(httpx.get, timeout=PATIENCE, verify=_PLAIN)
post: Final = partial(httpx.post, timeout=PATIENCE, verify=_PLAIN)
put: Final = partial(httpx.put, timeout=PATIENCE, verify=_PLAIN)
delete: Final = partial(httpx.delete, timeout=PATIENCE, verify=_PLAIN)
Client: Final = partial(httpx.Client, timeout=PATIENCE, verify=_PLAIN)
