"""The chip's arithmetic on a GPU, or on the CPU, by torch: tens of thousands of slots side by side.

Nothing here imports torch before a program is loaded.
"""

from hardware_sims.torch.backend import TorchBackend

__all__ = ["TorchBackend"]
