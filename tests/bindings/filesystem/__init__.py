"""`wasi:filesystem` on real folders, most of them hostile ones."""
