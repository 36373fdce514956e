"""Outbound HTTP as its users have it: a gateway, its configuration, and servers of many tempers."""
