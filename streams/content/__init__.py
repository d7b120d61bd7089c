"""What texts may hold on their way in and out: personal data, secrets, and what rules forbid."""
