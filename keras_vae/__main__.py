"""`python -m keras_vae`, the same as the command `keras-vae`."""

from keras_vae_cli import main

if __name__ == "__main__":
    main()
