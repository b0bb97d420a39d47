"""Detects anomalies: a model of one kind of image gives other images a high score.

    python examples/anomaly_detection.py

The model is trained on the shoes of Fashion-MNIST, and tested on shoes, shirts, bags and the rest.
"""

import keras
import numpy as np

import keras_vae

SHOES = [5, 7, 9]  # sandal, sneaker, ankle boot

(x_train, y_train), (x_test, y_test) = keras.datasets.fashion_mnist.load_data()
x_train, x_test = (x[..., None].astype("float32") / 255 for x in (x_train, x_test))

vae = keras_vae.recipes.vae((28, 28, 1), latent_dim=8)
vae.compile(optimizer="adam")
vae.fit(x_train[np.isin(y_train, SHOES)], batch_size=128, epochs=5)

scores = vae.anomaly_score(x_test)
normal, strange = scores[np.isin(y_test, SHOES)], scores[~np.isin(y_test, SHOES)]
threshold = np.quantile(normal, 0.95)
print(f"Threshold at which 5 % of the shoes give a false alarm: {threshold:.1f} nats")
print(f"Share of other things found at this threshold: {np.mean(strange > threshold):.1%}")
