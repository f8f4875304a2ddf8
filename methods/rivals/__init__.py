"""The other methods that the shared-autoencoder paper compares itself with, and one that it builds on."""
