"""Provides the interface `example:checkout/pricing`, which the component imports: any object with its functions.

`gateway stubs checkout.wasm example:checkout/pricing -o pricing_api.py` writes the class that it stands on.
"""

from pricing_api import PriceError, Pricing

CENTS = {"tea": 250, "cake": 420}


class Prices(Pricing):
    """Prices that the operator's own code knows: of a table here, of a database elsewhere."""

    def price(self, sku: str) -> int:
        """The price of one, in cents. The error is the err of the function's result."""
        if sku not in CENTS:
            raise PriceError(f"nobody sells {sku}")
        return CENTS[sku]


prices = Prices()
