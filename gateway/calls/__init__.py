"""Calls of components from Python: values with the types of a typed client, and failures as exceptions."""
