"""What generated modules have in them: values and errors, and in a client codecs and the connection.

These modules are never imported by the gateway. `gateway.rpc.client.typed_module` reads their source; it
is written into modules without their imports. They are written so that `ruff format` leaves them
alone at 88 columns as well as at 100: what it must not join ends in a trailing comma.
"""
