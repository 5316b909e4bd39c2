"""What policies did, beside the proven bounds: reports, leaderboards, statistics, offline data."""
