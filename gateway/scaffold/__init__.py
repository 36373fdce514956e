"""New components: folders to begin with, for each language and kind."""
