"""What fer-predict does: find the inputs, predict, and write terminal output, JSONL and annotated images."""
