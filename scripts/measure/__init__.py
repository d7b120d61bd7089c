"""Figures that the documentation states, measured again on any machine."""
