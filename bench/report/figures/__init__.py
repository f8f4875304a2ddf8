"""What is drawn from records."""
