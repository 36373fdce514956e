"""JSON as text: read strictly, written compactly, and in pieces where it is long."""
