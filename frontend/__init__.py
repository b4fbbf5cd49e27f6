"""The dashboard. Talks to the backend over HTTP only."""
