"""From trained runs to the reports of fer-evaluate and fer-compare."""
