"""One worker of a cluster, or the single process to compare with: `cluster_worker.py NAME [kill]`.

TF_CONFIG says which worker; all share the current folder. With "kill", worker 1 dies by SIGKILL in
the middle of the third epoch.
"""

import contextlib
import os
import signal
import sys

import keras
import numpy as np
import tensorflow as tf

import keras_vae
from keras_vae import callbacks, networks

name, kill = sys.argv[1], "kill" in sys.argv
strategy = contextlib.nullcontext()
if "TF_CONFIG" in os.environ:
    strategy = tf.distribute.MultiWorkerMirroredStrategy().scope()

RNG = np.random.default_rng(0)
X, W = RNG.random((37, 4, 4, 1), "float32"), RNG.random(37).astype("float32")  # last batch of 5

with strategy:
    keras.utils.set_random_seed(0)
    encoder = networks.dense_encoder((4, 4, 1), units=(8,))
    encoder = keras.Sequential([encoder, keras_vae.layers.Dropout(0.3, seed=7)])
    decoder = networks.dense_decoder(2, (4, 4, 1), units=(8,))
    vae = keras_vae.VAE(encoder, decoder, seed=3)
    vae.compile(keras.optimizers.Adam(0.01, clipnorm=0.1), metrics=["mae"])


class Die(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if self.epoch == 2 and batch == 1:
            os.kill(os.getpid(), signal.SIGKILL)

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch


class Log(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        print("epoch", epoch, flush=True)


data = tf.data.Dataset.from_tensor_slices((X, X, W)).batch(8)
watch = {"monitor": "val_loss", "mode": "min"}
history = vae.fit(
    data,
    epochs=5,
    validation_data=data,
    verbose=0,
    callbacks=[
        Log(),
        *([Die()] if kill and not vae.is_chief else []),
        keras.callbacks.BackupAndRestore(f"{name}_backup"),
        keras.callbacks.ModelCheckpoint(f"{name}_best.keras", save_best_only=True, **watch),
        keras.callbacks.EarlyStopping(patience=50, **watch),
        keras.callbacks.CSVLogger(f"{name}.csv"),
        callbacks.Pictures(X[:4], f"{name}_pictures", every=5, num_samples=4),
    ],
).history
evaluated = vae.evaluate(data, verbose=0, return_dict=True)
np.savez(
    f"{name}_{'chief' if vae.is_chief else 'other'}.npz",
    weights=np.concatenate([np.ravel(w) for w in vae.get_weights()]),
    logs=np.array(list(history.values())),
    evaluated=np.array(list(evaluated.values())),
    predicted=vae.predict(X, batch_size=8, verbose=0),
    codes=vae.encode(data, verbose=0),
)
