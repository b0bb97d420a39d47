"""Uses TensorBoard, keeps the best model so far, stops early, and continues after a crash.

    python examples/tensorboard_and_checkpoints.py
    tensorboard --logdir checkpoints/logs

Stop it in the middle and start it again: it continues after the last whole epoch.
"""

import keras

import keras_vae
from keras_vae import datasets

(x_train, _), (x_test, _) = datasets.fashion_mnist()

vae = keras_vae.recipes.vae((28, 28, 1), latent_dim=16, seed=0)
vae.compile(optimizer=keras.optimizers.Adam(1e-3))
vae.fit(
    datasets.Batches(x_train, shuffle=True, seed=0),
    epochs=20,
    validation_data=datasets.Batches(x_test),
    shuffle=False,
    callbacks=[
        keras.callbacks.TensorBoard("checkpoints/logs"),
        keras.callbacks.ModelCheckpoint(
            "checkpoints/best.keras", monitor="val_loss", mode="min", save_best_only=True
        ),
        keras.callbacks.EarlyStopping(monitor="val_loss", mode="min", patience=5),
        keras.callbacks.BackupAndRestore("checkpoints/backup"),
    ],
)

best = keras_vae.load_model("checkpoints/best.keras")
print("The best model on the test set, in nats:", best.evaluate(datasets.Batches(x_test)))
