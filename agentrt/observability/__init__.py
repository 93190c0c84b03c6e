"""What the process says about itself: log events."""
