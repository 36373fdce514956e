"""What every generated client has in it: values, errors, codecs and the connection.

These modules are never imported by the gateway. `gateway.rpc.client.library` reads their source and gives a client
the definitions that it uses, without the imports between them. They are written so that `ruff format` leaves them
alone at 88 columns as well as at 100: what it must not join ends in a trailing comma.
"""
