"""Tables, their columns, sequences and statistics."""
