"""The same bytes for the parser that is used where the fast one is not there."""

from tests.hostile.targets.http import target

TARGET = target("h11")
