"""Losses: partial labels, Dice and its traps, pretext tasks, candidates of promptable systems."""
