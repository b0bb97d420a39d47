"""Sequences of tokens from a known distribution, which need no file and no network."""

import numpy as np

from keras_vae import validation


class TopicChains:
    """Sequences of tokens from a mixture of Markov chains, one chain a topic: p(x) is known.

    Every topic is equally probable, and so is every first token.

    Args:
        num_topics, num_tokens, num_steps: ints.
        concentration: positive number, of the Dirichlet that the rows of the chains are drawn from:
            the smaller, the more the topics differ.
        seed: int, of the chains.

    Attributes:
        transitions: (topics, tokens, tokens), p(next | topic, token).

    Example:

    ```python
    chains = keras_vae.datasets.TopicChains()
    tokens, topics = chains.sample(1000, seed=1)  # integers (1000, 20, 1) and (1000,)
    chains.log_prob(tokens).mean()  # minus the entropy, which no model can beat
    ```
    """

    def __init__(
        self,
        num_topics: int = 4,
        num_tokens: int = 8,
        num_steps: int = 20,
        concentration: float = 0.5,
        seed: int = 0,
    ) -> None:
        self.num_topics = validation.positive_integer(num_topics, "num_topics", "how many chains")
        self.num_tokens = validation.positive_integer(num_tokens, "num_tokens", "the vocabulary")
        self.num_steps = validation.positive_integer(num_steps, "num_steps", "the length")
        rows = np.full(num_tokens, float(concentration))
        rng = np.random.default_rng(seed)
        self.transitions = rng.dirichlet(rows, size=(num_topics, num_tokens))

    def sample(self, n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Draws sequences.

        Args:
            n: int, how many.
            seed: int.

        Returns:
            Tuple of sequences, int32 (n, steps, 1), and their topics, (n,).
        """
        rng = np.random.default_rng(seed)
        topics = rng.integers(self.num_topics, size=n)
        tokens = [rng.integers(self.num_tokens, size=n)]
        for _ in range(self.num_steps - 1):
            edges = np.cumsum(self.transitions[topics, tokens[-1]], axis=-1)[:, :-1]
            tokens.append(np.sum(rng.random((n, 1)) > edges, axis=-1))
        return np.stack(tokens, axis=1).astype("int32")[..., None], topics

    def log_prob_by_topic(self, x: np.ndarray) -> np.ndarray:
        """Computes log p(x | topic) in nats, (n, topics), of sequences (n, steps, 1)."""
        before, after = x[:, :-1, 0], x[:, 1:, 0]
        with np.errstate(divide="ignore"):
            steps = np.log(self.transitions[:, before, after])
        return steps.sum(axis=-1).T - np.log(self.num_tokens)

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        """Computes log p(x) in nats, (n,), of sequences (n, steps, 1)."""
        return np.logaddexp.reduce(self.log_prob_by_topic(x), axis=1) - np.log(self.num_topics)
