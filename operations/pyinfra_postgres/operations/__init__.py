"""What a deploy calls: one thin function per kind, and what they share."""
