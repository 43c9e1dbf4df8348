"""Simulated hardware that runs strl programs; each is found through an entry point."""
