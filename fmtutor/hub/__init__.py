"""Weights: published checkpoints onto our modules, strictly, and what we ship ourselves."""

from fmtutor.hub.layouts import PUBLISHED
from fmtutor.hub.published import check, load

__all__ = ["PUBLISHED", "check", "load"]
