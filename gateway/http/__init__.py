"""The words of HTTP, without I/O: problem documents, request ids, targets, proxies' fields, trace contexts."""
