"""What is attacked, a module for each: its `TARGET`."""
