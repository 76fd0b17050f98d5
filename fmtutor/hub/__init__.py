"""Weights: published checkpoints onto our modules, strictly, and what we ship ourselves."""

from fmtutor.hub.published import load

__all__ = ["load"]
