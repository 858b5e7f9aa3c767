"""Labels to tensors and back: cuts time into segments, applies a network lazily, labels what comes out."""
