"""Systems that learn from images without labels, and hand on an encoder."""
