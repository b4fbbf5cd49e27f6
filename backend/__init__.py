"""The REST backend: typed requests into calls of `cifs` and back."""
