"""From declarations to a plan: questions, renames, consent, refusals, order."""
