"""pythae's own trainer and VAE with the article's networks; loading and logs are its defaults."""

import logging
import tempfile

import torch
import torch_networks
from pythae.data.datasets import BaseDataset
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from torch import nn


class Encoder(BaseEncoder):
    def __init__(self):
        super().__init__()
        self.layers = torch_networks.encoder(outputs=4)

    def forward(self, x):
        mean, log_variance = self.layers(x).chunk(2, dim=1)
        return ModelOutput(embedding=mean, log_covariance=log_variance)


class Decoder(BaseDecoder):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(torch_networks.decoder(), nn.Sigmoid())

    def forward(self, z):
        return ModelOutput(reconstruction=self.layers(z))


def prepare(x, batch):
    logging.disable(logging.INFO)
    config = VAEConfig(input_dim=(1, 28, 28), latent_dim=2, reconstruction_loss="bce")
    model = VAE(config, encoder=Encoder(), decoder=Decoder())
    images = torch.from_numpy(x).permute(0, 3, 1, 2).contiguous()
    data = BaseDataset(images, torch.zeros(len(images)))
    folder = tempfile.TemporaryDirectory()

    def epoch():
        training = BaseTrainerConfig(
            output_dir=folder.name,
            num_epochs=1,
            per_device_train_batch_size=batch,
            learning_rate=1e-3,
            no_cuda=True,
        )
        BaseTrainer(model, data, training_config=training).train()

    return epoch
