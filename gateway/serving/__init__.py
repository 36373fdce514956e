"""Components in service, and each call of one: admission, grants, events, how it ended."""
