"""Training: settings, data of an epoch, losses, schedules, the loop."""
