"""Guests: the components that the tests run, as sources, and what builds them.

A guest is named by its path in this folder without its suffix: `c/hello`, `js/echo`, `python/probe`,
`wat/hello`. The examples that the project ships are some too: `examples/hello`.

Guests of one name in several languages have one world if it lies here: `rpc.wit`.
"""
