"""HTTP requests: which component answers, the exchange with its guest, JSON-RPC, operational routes."""
