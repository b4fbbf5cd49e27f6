"""What we claim about speed, measured side by side with peers."""
