"""Claims in components: keys, tokens, what they vouch for, and who is believed."""
