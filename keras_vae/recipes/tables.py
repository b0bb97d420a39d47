"""Rows of a table with columns of any kind."""

from collections.abc import Sequence
from typing import Any

from keras_vae import networks, objectives, schedules
from keras_vae.recipes.fitting import check_units, chosen_networks
from keras_vae.tables import Table, TableVAE, table_encoder
from keras_vae.tables.table import LARGE

WARM_UP = 1000
"""Steps in which the weight of the KL rises to 1 where each row gets one draw: without, the codes
of a table with few columns and many gaps can stay empty."""


def table_vae(
    frame: Any,
    latent_dim: int | None = None,
    units: Sequence[int] | None = None,
    num_samples: int | None = None,
    hidden: float = 0.0,
    seed: int | None = None,
    **parts: Any,
) -> TableVAE:
    """Makes a VAE of a table: frames go into all of its methods and come out of them.

    It fills gaps (`impute`), draws new rows (`generate`) and scores rows and cells
    (`anomaly_score`, `explain`).

    Args:
        frame: a DataFrame of pandas or polars, or a `tables.Table` that describes one.
        latent_dim: int, D; by default 10, or 32 for at least 5,000 rows.
        units: widths of the hidden layers of the encoder, and in reverse of the decoder; by default
            (128,), or (256, 128) for at least 5,000 rows.
        num_samples: int, draws for each row of the importance-weighted bound; by default 5. For at
            least 5,000 rows it is 1, and the weight of the KL rises from 0 over 1,000 steps.
        hidden: share of the observed values that the encoder does not see in training.
        seed: int, of the noise and of the rows that `fit` holds out.
        parts: other arguments of `TableVAE`.

    Returns:
        The model. `fit` compiles it if you do not.

    Raises:
        ValueError: if a column holds what no kind of column can take.

    Example:

    ```python
    vae = recipes.table_vae(df)
    vae.fit(df)
    filled, new, scores = vae.impute(df), vae.generate(1000), vae.anomaly_score(df)
    ```

    References: Nazabal et al., Handling Incomplete Heterogeneous Data using VAEs
    (arXiv:1807.03653); Mattei and Frellsen, MIWAE (arXiv:1812.02633).
    """
    table = frame if isinstance(frame, Table) else Table.infer(frame)
    is_small = table.num_rows < LARGE
    latent_dim = latent_dim or (10 if is_small else 32)
    check_units("table_vae", units, (len(table.names),), beside=parts)
    units = tuple(units or ((128,) if is_small else (256, 128)))
    num_samples = num_samples or (5 if is_small else 1)
    warm_up = objectives.ELBO(schedules.Linear(WARM_UP))
    objective = warm_up if num_samples == 1 else objectives.IWAE(num_samples)
    parts = {"objective": objective, "likelihood": table.likelihood(), **parts}
    shape = parts["likelihood"].params_shape((len(table.names),))
    encoder, decoder = chosen_networks(
        "table_vae",
        parts,
        (len(table.names),),
        latent_dim,
        lambda: table_encoder(table.num_classes, units, hidden=hidden),
        lambda: networks.dense_decoder(latent_dim, shape, units[::-1], "relu", residual=False),
    )
    return TableVAE(encoder, decoder, table=table, seed=seed, **parts)
