"""Task-specific networks that the talk's tables compare foundation models with."""
