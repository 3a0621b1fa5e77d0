"""A training run: what is built, recorded, logged, kept, and resumed."""
