"""Views of many images at once."""
