"""Asks the catalog by the client that `gateway client` has made of it: with types, for editors and mypy too."""

import sys

from client import Client, Product


def line(product: Product) -> str:
    """A product as a customer reads it."""
    return f"{product.name} ({product.sku}): {product.cents / 100:.2f}"


with Client(sys.argv[1]) as client:
    for product in client.products.tagged("drink"):
        print(line(product))
    print("none" if client.products.get("x-1") is None else "one")
