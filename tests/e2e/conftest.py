"""One browser and one pair of servers for every file here."""

from tests.e2e.test_dashboard import dashboard, page, screenshots

__all__ = ["dashboard", "page", "screenshots"]
