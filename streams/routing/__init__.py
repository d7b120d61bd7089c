"""Which of a route's targets may be asked, and in which order. Pure: time and configuration come in."""
