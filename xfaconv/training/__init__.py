"""Training: what is asked of a network, windows, the loop, evaluation, and the script behind the packaged weights."""
