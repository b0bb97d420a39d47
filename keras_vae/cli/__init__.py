"""What the commands of `keras-vae` do, one file each. `keras_vae_cli` parses their arguments."""
