"""A training loop by hand in PyTorch, its batches cut from one tensor in memory."""

import torch
import torch_networks
from torch.nn import functional


def device():
    return "cuda" if torch.cuda.is_available() else "cpu"


def prepare(x, batch):
    torch.manual_seed(0)
    encoder = torch_networks.encoder().to(device())
    decoder = torch_networks.decoder().to(device())
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3)
    data = torch.from_numpy(x).permute(0, 3, 1, 2).contiguous().to(device())

    def step(images):
        mean, log_variance = encoder(images).chunk(2, dim=1)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        entropy = functional.binary_cross_entropy_with_logits(decoder(z), images, reduction="sum")
        kl = 0.5 * torch.sum(mean**2 + log_variance.exp() - log_variance - 1.0)
        loss = (entropy + kl) / len(images)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    def epoch():
        total = sum(step(data[rows]) for rows in torch.randperm(len(data)).split(batch))
        return float(total)

    return epoch
