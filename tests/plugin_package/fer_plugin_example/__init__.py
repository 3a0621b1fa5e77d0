"""A plugin of fer-lightning with one part of each kind; `parts` registers them."""
