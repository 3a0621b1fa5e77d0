"""Speed, start-up, memory and size of models, measured on this machine. No torch, unless it is asked for."""
