"""Thin typed routes: what they compute is in cifs, what they check is in backend.resolve."""
