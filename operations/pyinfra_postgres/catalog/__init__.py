"""What a database holds, who may do what, and whose code it is."""
