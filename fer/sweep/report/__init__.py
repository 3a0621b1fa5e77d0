"""The report of a sweep: a page, a printed summary, and the best recipes confirmed over new seeds."""
