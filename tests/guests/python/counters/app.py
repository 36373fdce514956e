"""The export `api` of `counters.wit`."""

from api import Counter
from wit_world import exports
from wit_world.exports.api import Choice, Choice_One, Labelled


class Api(exports.Api):
    """The functions beside its resource."""

    def split(self, it: Counter, parts: int) -> list[Counter]:
        return [Counter(it.count + part) for part in range(parts)]

    def label(self, it: Counter | None, label: str) -> Labelled:
        return Labelled(label, it or Counter(0))

    def unlabel(self, it: Labelled) -> Choice:
        return Choice_One(it.it)

    def same(self, it: Choice) -> Choice:
        return it

    def sum(self, counters: list[Counter]) -> int:
        return sum(each.count for each in counters)

    def live(self) -> int:
        return Counter.live
