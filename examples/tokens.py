"""Learns sentences of a known language with a recurrent decoder whose code stays in use.

Needs `pip install "keras_vae[evaluation]"`.
"""

import keras

import keras_vae
from keras_vae import evaluation, likelihoods, networks, objectives, schedules

chains = keras_vae.datasets.TopicChains(num_topics=4, num_tokens=8, num_steps=20)
(x, topics), (x_test, test_topics) = chains.sample(4000, seed=1), chains.sample(1000, seed=2)

vae = keras_vae.VAE(
    networks.recurrent_encoder((20, 1), units=32, num_classes=8),
    networks.dense_decoder(4, (32,), units=()),
    likelihood=likelihoods.AutoregressiveSequence(
        likelihoods.Categorical(8), (20, 1), units=32, word_dropout=0.5
    ),
    objective=objectives.ELBO(schedules.Linear(800), free_bits=0.25),
)
vae.compile(keras.optimizers.Adam(3e-3))
vae.fit(x, epochs=25, batch_size=64)

found = vae.diagnose(x_test)
print(f"ELBO {found['elbo']:.2f}, true log p(x) {chains.log_prob(x_test).mean():.2f} nats")
print(f"the code holds {found['kl_loss']:.2f} nats in {found['active_units']} latents")
codes, test_codes = vae.encode(x), vae.encode(x_test)
accuracy = evaluation.neighbour_accuracy(codes, topics, test_codes, test_topics)
print(f"topic by the nearest codes: {100 * accuracy:.0f} % right")
print(vae.generate(3)[..., 0].astype(int))
