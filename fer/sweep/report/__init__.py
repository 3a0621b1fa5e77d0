"""The report of a sweep: a page, a printed summary, and confirmation of the best recipes over new seeds."""
