"""The training step of each backend; `Trainer` is the one of this process.

`Predictor` is the base of models that only compute outputs.
"""

import keras

if keras.backend.backend() == "tensorflow":
    from keras_vae.trainers.tensorflow import TensorFlowTrainer as Trainer
elif keras.backend.backend() == "jax":
    from keras_vae.trainers.jax import JAXTrainer as Trainer
elif keras.backend.backend() == "openvino":
    from keras_vae.trainers.openvino import OpenVINOPredictor as Predictor
    from keras_vae.trainers.openvino import OpenVINOTrainer as Trainer
else:
    from keras_vae.trainers.base import BaseTrainer as Trainer

if keras.backend.backend() != "openvino":
    from keras import Model as Predictor  # type: ignore[no-redef]

__all__ = ["Predictor", "Trainer"]
