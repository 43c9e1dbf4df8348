"""strl: from a spiking policy to an exact integer program for a Loihi-style chip."""

__version__ = "0.1.0"
