"""What strategies share: ramp-ups, averaged teachers, confident pseudo-labels, views and mixing."""
