"""Core modules made components: `gateway.host.componentize`."""
