"""fmtutor: foundation models for medical image segmentation, taught and explored."""

__version__ = "0.1.0"
