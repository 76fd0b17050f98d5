"""What moves in a notebook: slices that take clicks, volumes in 3D, each with a still picture."""
