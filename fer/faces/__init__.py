"""Find a face, make it upright, cut it out."""
