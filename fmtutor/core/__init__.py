"""What all layers stand on: axes, geometry, asks, cards, tables, files, seeds, devices, colours."""
