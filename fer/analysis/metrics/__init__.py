"""Numbers: scores, intervals, tests, calibration. Arrays in, values out."""
