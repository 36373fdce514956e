"""How a request to the admin API is refused, from wherever that is found out."""

from __future__ import annotations

from gateway.http.problem import Problem

__all__ = ["Refused"]


class Refused(Exception):
    """A request is answered with a problem.

    Attributes:
        problem: which.
        headers: more fields of the response.
    """

    def __init__(self, problem: Problem, *headers: tuple[bytes, bytes]) -> None:
        self.problem = problem
        self.headers = headers
        super().__init__(problem.title)
