"""What a detector has to beat: detectors of a few lines."""
