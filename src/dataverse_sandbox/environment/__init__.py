"""What one environment holds between two calls: table, users, faults, limits, statistics."""
