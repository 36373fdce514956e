"""JSON-RPC 2.0 for the functions that a component exports, without the transport.

Everything here is made of a component's WIT types and of JSON: no sockets, no engine. `gateway.routes.rpc` serves
it over HTTP, `gateway call` on the command line.

Source: https://www.jsonrpc.org/specification
"""
