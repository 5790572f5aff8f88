"""Partitions, by hand and by the calendar."""
