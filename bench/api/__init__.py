"""What ``import bench`` offers to scripts and notebooks, over the same code as the commands."""
