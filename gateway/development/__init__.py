"""The gateway as those have it who write components: what went wrong is told in the answer.

Nothing below this package knows of it, so `gateway serve` cannot tell clients what `gateway dev` does.
"""
