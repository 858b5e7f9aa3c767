"""What a network reads and depends on: maps of a base point, importance of variables, and the checks of attention."""
