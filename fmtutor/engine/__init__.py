"""Training, inference and measurement, for any system."""
