"""“Why channels matter”: seven steps after the poster. In each the person predicts first, then sees live data."""
