"""What a configuration may say, and what is said of what it may not."""
