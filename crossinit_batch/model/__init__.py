"""The base model: finding, checking and loading it, its text encoder, autoencoder and U-Net, and sampling."""
