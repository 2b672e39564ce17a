"""Who may do what, where to, and when."""
