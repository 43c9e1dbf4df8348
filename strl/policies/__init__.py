"""Policies: snnTorch modules with their semantics, kept in files, found by name."""

from strl.policies.checkpoint import Checkpoint, load, save
from strl.policies.library import load_policy, shipped
from strl.policies.policy import SpikingPolicy

__all__ = ["Checkpoint", "SpikingPolicy", "load", "load_policy", "save", "shipped"]
