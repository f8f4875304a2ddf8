"""The leaderboard: pages of every method in every setting, which lead to the records behind each figure."""
