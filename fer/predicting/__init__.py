"""What fer-predict does: see what was given; answer in the terminal, in JSONL, in annotated copies."""
