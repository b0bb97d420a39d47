"""The training step of each backend; `Trainer` is the one of this process."""

import keras

if keras.backend.backend() == "tensorflow":
    from keras_vae.trainers.tensorflow import TensorFlowTrainer as Trainer
elif keras.backend.backend() == "jax":
    from keras_vae.trainers.jax import JAXTrainer as Trainer
else:
    from keras_vae.trainers.base import BaseTrainer as Trainer

__all__ = ["Trainer"]
