"""What became of a sweep: a page, a summary, and its best recipes trained again over new seeds."""
