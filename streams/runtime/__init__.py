"""The shell around every decision: consuming, confirming, committing, restoring, dead-lettering. Decides nothing."""
