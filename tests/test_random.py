import keras
import numpy as np

from keras_vae import random


def test_streams_of_neighbouring_seeds_are_unrelated():
    draws = {}
    for seed in (5, 6):
        for index in (0, 1):
            generator = keras.random.SeedGenerator(random.stream(seed, index))
            draws[seed, index] = np.asarray(random.normal((1000,), generator))
    correlations = np.corrcoef(list(draws.values())) - np.eye(4)
    assert np.abs(correlations).max() < 5 / np.sqrt(1000)


def test_a_new_seed_obeys_set_random_seed():
    seeds = []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(seed)
        seeds.append(random.new_seed())
    assert seeds[0] == seeds[1] != seeds[2]
