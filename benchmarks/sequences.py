"""Token sequences whose log p(x) is known: does the code collapse, and how far is the bound?

    python benchmarks/sequences.py

Protocol: `datasets.TopicChains()`, four Markov chains over eight tokens, 20 steps; 4,000 sequences
to train, 1,000 to test. GRUs of 32 units, 4 latents, Adam at 3e-3, batches of 64, one seed. The
model's log p(x) is importance-weighted; the topic is told by the nearest five codes of the training
sequences. Against collapse: a linear KL warm-up over half the training, and free bits, 0.25 nats a
latent.
"""

import argparse

import keras

from keras_vae import VAE, datasets, evaluation, likelihoods, networks, objectives, schedules


def model(word_dropout, against_collapse, steps):
    """A recurrent VAE of tokens, compiled."""
    keras.utils.set_random_seed(0)
    tokens = likelihoods.Categorical(8)
    options = {"units": 32, "word_dropout": word_dropout}
    objective = objectives.ELBO()
    if against_collapse:
        objective = objectives.ELBO(schedules.Linear(steps // 2), free_bits=0.25)
    vae = VAE(
        networks.recurrent_encoder((20, 1), 32, num_classes=8),
        networks.dense_decoder(4, (32,), units=()),
        likelihood=likelihoods.AutoregressiveSequence(tokens, (20, 1), **options),
        objective=objective,
        seed=0,
    )
    vae.compile(keras.optimizers.Adam(3e-3))
    return vae


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=25)
    arguments = parser.parse_args()
    chains = datasets.TopicChains()
    (x, topics), (x_test, test_topics) = chains.sample(4000, seed=1), chains.sample(1000, seed=2)
    print(f"log p(x) of the data, mean of the test sequences: {chains.log_prob(x_test).mean():.2f}")
    print("| word dropout | warm-up, free bits | ELBO | log p(x) | KL | active units | topic |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for against_collapse in (False, True):
        for word_dropout in (0.0, 0.5):
            vae = model(word_dropout, against_collapse, arguments.epochs * (4000 // 64))
            vae.fit(x, epochs=arguments.epochs, batch_size=64, verbose=0)
            found = vae.diagnose(x_test)
            log_p = vae.log_likelihood(x_test, num_samples=100, batch_size=100).mean()
            codes = (vae.encode(x), topics, vae.encode(x_test), test_topics)
            accuracy = 100 * evaluation.neighbour_accuracy(*codes)
            row = [f"{word_dropout}", "yes" if against_collapse else "no", f"{found['elbo']:.2f}"]
            row += [f"{log_p:.2f}", f"{found['kl_loss']:.2f}", f"{found['active_units']} / 4"]
            print("|", " | ".join([*row, f"{accuracy:.0f} %"]), "|", flush=True)


if __name__ == "__main__":
    main()
