"""SQL text: names, parsing, values, quoting, privileges. Pure."""
