"""What coordinates, variables and units may be called: the tables, and the functions that look names up in them."""
