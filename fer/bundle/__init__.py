"""What leaves the lab: a model with its card, its versions, and what runs it. No torch."""
