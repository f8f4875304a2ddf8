"""The methods of the shared-autoencoder paper whose figures it measures itself by, and its own."""
