"""Measurements, printed as ratios against something in the same run. Not tests: nothing here passes or fails."""
