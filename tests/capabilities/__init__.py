"""What components find of the capabilities that the gateway provides beside WASI 0.2."""
