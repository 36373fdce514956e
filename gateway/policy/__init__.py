"""What is allowed, without I/O: which servers a component may reach, where a folder may be mounted."""
