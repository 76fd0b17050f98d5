"""What every layer stands on: axes, geometry, asks, cards, tables, files, seeds, devices."""
