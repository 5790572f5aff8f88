"""A plan as one session: trying it and rolling it out."""
