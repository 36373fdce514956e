"""New components: what they are made of, and that they answer."""
