"""Neon's API, its branches as hosts, and deploys on a copy of one."""
