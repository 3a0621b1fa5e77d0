"""Evaluate and compare trained runs, as fer-evaluate and fer-compare do."""
