"""What stands behind capabilities: stores, each found by its URL and shared by the components of a worker."""
