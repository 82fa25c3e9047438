"""Kills, damage, full disks and bad input: nothing lost, nothing silent, no internal error."""
