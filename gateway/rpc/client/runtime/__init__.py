"""What every generated client has in it: values, errors, codecs and the connection.

These modules are never imported by the gateway. `gateway.rpc.client.module` reads their source and writes it into
each client, without their imports. They are written so that `ruff format` leaves them
alone at 88 columns as well as at 100: what it must not join ends in a trailing comma.
"""
