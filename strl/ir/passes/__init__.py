"""Passes: Network → Network, or Network → a fact about it. One file each."""
