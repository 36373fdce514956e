"""Ways to call components that are not HTTP: what comes there is taken, handled and, at the end, finished."""
