"""A week as one HTML file that needs nothing else, and pictures of what commands show."""
