"""Parts of pages: what a reader clicks, and what a page shows in more than one place."""
