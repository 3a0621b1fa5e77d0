"""Evaluate and compare trained runs: the work behind fer-evaluate and fer-compare."""
