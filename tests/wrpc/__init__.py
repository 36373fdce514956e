"""Tests of wRPC."""
