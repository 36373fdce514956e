"""The admin API: who may use it, what it does, and the document that says so."""
