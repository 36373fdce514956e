"""What changes while the gateway runs: its start, and one configuration after another."""
