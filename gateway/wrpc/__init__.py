"""wRPC without the transport: values of functions as bytes, and the frames that they come in.

Source: SPEC.md of https://github.com/bytecodealliance/wrpc, v0.0.1-draft.1
"""
