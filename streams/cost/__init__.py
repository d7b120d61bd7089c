"""What a call used and what that costs. Pure, but for tables read once from installed packages."""
